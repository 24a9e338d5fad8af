// What makes the console quicker; every page works without it.
"use strict";

(() => {
  // Keys: a page adds its own with `replyguardKeys.set("a", action)`; sequences are "g s".
  const keys = new Map();
  window.replyguardKeys = keys;
  const dialog = document.getElementById("keys");
  if (dialog) {
    keys.set("?", () => dialog.showModal());
    keys.set("g s", () => { location.href = "/console"; });
  }
  // Any element may name its key: <button data-key="a">, <a data-key="j">.
  for (const element of document.querySelectorAll("[data-key]")) {
    keys.set(element.dataset.key, () => element.click());
  }

  const typing = (target) =>
    target.closest("textarea, select, [contenteditable]") ||
    target.closest("input:not([type=checkbox]):not([type=radio]):not([type=submit])");
  // The key's letter, with Caps Lock or on a keyboard of another alphabet, too.
  const named = ({ key, code }) => {
    const other = key.length === 1 && key > "~" && /^Key[A-Z]$/.test(code);
    return other ? code.slice(3).toLowerCase() : key.length === 1 ? key.toLowerCase() : key;
  };
  // A key that is held down moves on; what changes something needs a press of its own.
  const repeats = new Set(["j", "k"]);
  let first = "";
  let firstTime = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const key = named(event);
    if (event.repeat && !repeats.has(key)) return;
    if (!(event.target instanceof Element) || typing(event.target) || dialog?.open) return;
    const sequence = event.timeStamp - firstTime < 1500 ? `${first} ${key}` : key;
    const action = keys.get(sequence) ?? keys.get(key);
    first = key;
    firstTime = event.timeStamp;
    if (!action) return;
    event.preventDefault();
    first = "";
    action();
  });

  // Menus close when one looks elsewhere.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A link that is shown once is selected whole.
  for (const input of document.querySelectorAll("[data-select]")) {
    input.addEventListener("focus", () => input.select());
  }

  // A form is sent once, however often one clicks. A page stays after a download, which may be wanted again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("data-download")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    // Who stopped it may send it again.
    setTimeout(() => { delete form.dataset.sent; }, 10000);
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
})();
