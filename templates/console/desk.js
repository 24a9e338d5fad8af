// The queue, quicker: keys, decisions without a new page, live updates. Without it, the page's
// forms do the same.
"use strict";

(() => {
  const keys = window.replyguardKeys;
  for (const input of document.querySelectorAll("[data-focus-key]")) {
    keys.set(input.dataset.focusKey, () => input.focus());
  }

  const undoForm = () =>
    document.querySelector(".live form") ?? document.querySelector(".toast form");
  if (!keys.has("z")) keys.set("z", () => undoForm()?.requestSubmit());

  const queue = document.querySelector("[data-queue]");
  if (!queue) return;
  const list = queue.querySelector("[data-entries]");
  const entries = () => [...list.querySelectorAll("[data-entry]:not([hidden])")];
  let selected = null;

  const select = (entry) => {
    selected?.classList.remove("selected");
    selected = entry ?? null;
    if (!selected) return;
    selected.classList.add("selected");
    selected.focus({ preventScroll: true });
    selected.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const all = entries();
    const at = all.indexOf(selected);
    select(all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
  };
  keys.set("j", () => step(1));
  keys.set("k", () => step(-1));
  const press = (key) => () => selected?.querySelector(`[data-entry-key="${key}"]`)?.click();
  for (const key of ["a", "s", "d", "o"]) keys.set(key, press(key));
  keys.set("x", () => selected?.querySelector("input[type=checkbox]")?.click());
  list.addEventListener("focusin", (event) => {
    const entry = event.target.closest("[data-entry]");
    if (entry && entry !== selected) {
      selected?.classList.remove("selected");
      selected = entry;
      entry.classList.add("selected");
    }
  });

  // Ticked entries
  const all = queue.querySelector("[data-select-all]");
  const ticks = () => entries().map((entry) => entry.querySelector("input[type=checkbox]"));
  const count = () => {
    const label = queue.querySelector("[data-selected-count]");
    const ticked = ticks().filter((tick) => tick.checked).length;
    if (label) label.textContent = ticked ? `${ticked} selected` : "";
    if (all) all.checked = ticked > 0 && ticked === ticks().length;
  };
  all?.addEventListener("change", () => {
    for (const tick of ticks()) tick.checked = all.checked;
    count();
  });
  queue.addEventListener("change", (event) => {
    if (event.target.name === "entry") count();
  });

  // The message of the last decision, with its undo
  const say = (text, undo, bad) => {
    document.querySelector(".live")?.remove();
    const box = document.createElement("div");
    box.className = bad ? "toast live bad" : "toast live";
    box.setAttribute("role", bad ? "alert" : "status");
    const line = document.createElement("p");
    line.textContent = text;
    box.append(line);
    if (undo) {
      const form = document.createElement("form");
      form.method = "post";
      form.action = undo;
      const token = document.createElement("input");
      token.type = "hidden";
      token.name = "form_token";
      token.value = queue.elements.form_token.value;
      const button = document.createElement("button");
      button.className = "small";
      button.textContent = "Undo";
      form.append(token, button);
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        event.stopPropagation();
        button.disabled = true;
        send(undo, new FormData(form)).then(async (told) => {
          say(told.text, null, !told.decided);
          await refresh();
        }, () => say("That could not be undone now.", undo, true));
      });
      box.append(form);
    }
    document.body.append(box);
  };
  const send = async (address, data) => {
    const answer = await fetch(address, {
      method: "POST",
      body: new URLSearchParams(data),
      headers: { Accept: "application/json" },
      redirect: "error",
    });
    if (!answer.headers.get("content-type")?.startsWith("application/json")) {
      throw new Error(String(answer.status));
    }
    return answer.json();
  };

  const failure = (error) => /^4/.test(error.message)
    ? "The service refused that. Load the page again, and look whether the note is too long."
    : "The service did not answer; nothing is lost. Try again.";

  // The second click of a double click would meet the entry that has moved up.
  queue.addEventListener("click", (event) => {
    const decides = event.target.closest("button[name=one], button[name=bulk]");
    if (decides && event.detail > 1) event.preventDefault();
  }, true);

  // Decisions: entries leave at once and come back if it did not work
  queue.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || !["one", "bulk"].includes(button.name)) return;
    event.preventDefault();
    event.stopPropagation();
    const data = new FormData(queue, button);
    const own = button.closest("[data-entry]");
    const leaving = button.name === "one"
      ? [own]
      : entries().filter((entry) => entry.querySelector("input[type=checkbox]").checked);
    if (leaving.length === 0) return say("No comment was selected.", null, true);
    if (button.name === "one") data.delete("entry");
    const at = entries().indexOf(leaving[0]);
    for (const entry of leaving) entry.hidden = true;
    const rest = entries();
    select(rest[Math.min(at, rest.length - 1)]);
    send(queue.action, data).then((told) => {
      if (told.decided) {
        for (const entry of leaving) entry.remove();
        // A note is for the decision it was written for.
        const note = queue.elements.note;
        if (note && note.value === data.get("note")) note.value = "";
      } else {
        for (const entry of leaving) entry.hidden = false;
      }
      say(told.text, told.undo, !told.decided);
      count();
      // What was decided is decided, also if the page cannot be renewed now.
      refresh().catch(() => {});
    }).catch((error) => {
      for (const entry of leaving) entry.hidden = false;
      say(failure(error), null, true);
      // Whoever is signed out meanwhile is shown where to sign in.
      refresh().catch(() => {});
    });
  }, true);

  // Live: look at the page again and take over what is new
  let looking = null;
  const refresh = () => {
    looking ??= look().finally(() => { looking = null; });
    return looking;
  };
  const look = async () => {
    // The header says that nobody did anything, so that the session of who left ends in its time.
    const headers = { Accept: "text/html", "X-Replyguard-By-Itself": "yes" };
    const answer = await fetch(location.href, { headers });
    // Whoever is signed out is told by the page; a service that is away is asked again later.
    if (answer.redirected || [401, 403].includes(answer.status)) return location.reload();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-entries]");
    if (!fresh) return;
    const refocus = focusKeeper();
    // A campaign has one entry, whatever the last comment of it is.
    const known = new Map(
      [...list.querySelectorAll("[data-entry]")].map((entry) => [entry.dataset.campaign, entry]));
    const keep = [];
    for (const entry of fresh.querySelectorAll("[data-entry]")) {
      const old = known.get(entry.dataset.campaign);
      const node = old ?? document.importNode(entry, true);
      node.classList.toggle("fresh", !old);
      // What is just being decided stays away, as it is.
      if (old && !old.hidden && old.innerHTML !== entry.innerHTML) renew(old, entry);
      keep.push(node);
    }
    arrange(keep);
    if (selected && !list.contains(selected)) select(null);
    refocus();
    const number = page.querySelector("[data-count]");
    if (number) document.querySelector("[data-count]").textContent = number.textContent;
    const empty = page.querySelector("[data-empty]");
    queue.querySelector("[data-empty]")?.remove();
    if (empty) queue.append(document.importNode(empty, true));
    const bulk = page.querySelector(".bulk");
    if (bulk && !queue.querySelector(".bulk")) list.before(document.importNode(bulk, true));
    count();
  };

  // Puts the entries in their order; the one that is pointed at or read stays where it is on the screen,
  // so that no button of another comes under the pointer.
  const arrange = (keep) => {
    const seen = (entry) => entry.getBoundingClientRect().bottom > 60;
    const reading = window.scrollY > 0 ? entries().find(seen) : null;
    const pointed = list.querySelector("[data-entry]:hover");
    const anchor = [pointed, reading].find((entry) => entry && keep.includes(entry));
    const top = anchor?.getBoundingClientRect().top;
    for (const node of [...list.children]) if (!keep.includes(node)) node.remove();
    keep.forEach((node, at) => {
      if (node !== list.children[at]) list.insertBefore(node, list.children[at] ?? null);
    });
    if (anchor) window.scrollBy({ top: anchor.getBoundingClientRect().top - top, behavior: "instant" });
  };

  // An entry that changed is filled anew where it stands: it stays selected and ticked.
  const renew = (old, fresh) => {
    const ticked = old.querySelector("input[type=checkbox]").checked;
    old.dataset.entry = fresh.dataset.entry;
    old.setAttribute("aria-label", fresh.getAttribute("aria-label"));
    old.replaceChildren(...document.importNode(fresh, true).childNodes);
    old.querySelector("input[type=checkbox]").checked = ticked;
  };
  // Gives back what puts the focus where it is now, if it is in the list and gets lost there: to
  // the same element, or to the one that has taken its place. Anywhere else it is left alone.
  const focusKeeper = () => {
    const element = document.activeElement;
    const entry = list.contains(element) ? element.closest("[data-entry]") : null;
    const role = (one) => [one.localName, one.name, one.dataset.entryKey, one.className].join();
    const does = (one) => (one.name === "one" ? one.value.split(" ")[0] : "");
    return () => {
      if (!entry || !list.contains(entry) || list.contains(document.activeElement)) return;
      const alike = (one) => role(one) === role(element) && does(one) === does(element);
      const heir = list.contains(element)
        ? element
        : [...entry.querySelectorAll("a, button, input")].find(alike);
      (heir ?? entry).focus({ preventScroll: true });
    };
  };

  // The line to the service is open only while the page is seen: a browser has six to a host, which
  // tabs in the background would take from all others.
  let events = null;
  let waiting = 0;
  const soon = () => {
    // On a busy site there is always a next one: none puts the look off.
    waiting ||= setTimeout(async () => {
      waiting = 0;
      await looking?.catch(() => {});
      refresh();
    }, 150);
  };
  const hangUp = () => {
    events?.close();
    events = null;
    delete document.body.dataset.live;
  };
  const listen = (again) => {
    if (events || document.hidden) return;
    const line = new EventSource(queue.dataset.events);
    events = line;
    line.addEventListener("queue", soon);
    line.addEventListener("open", () => {
      document.body.dataset.live = "yes";
      // What happened meanwhile, nobody tells.
      if (again) soon();
    });
    line.addEventListener("error", () => {
      if (line !== events || line.readyState !== EventSource.CLOSED) return;
      // Refused, and not tried again by the browser.
      hangUp();
      soon();
      setTimeout(listen, 5000, true);
    });
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hangUp();
    else listen(true);
  });
  listen(false);
})();
