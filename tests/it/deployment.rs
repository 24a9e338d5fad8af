//! What deploys the service, read: manifests of Kubernetes, compose.yaml, the Dockerfile.
//!
//! Whether a cluster takes them is not seen here; that they say what they should is.

use std::fs;
use std::path::{Path, PathBuf};

use replyguard::config::Config;
use replyguard::storage::PostgresAddress;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document of every manifest.
fn manifests() -> Vec<Value> {
    let folder = fs::read_dir(root().join("deploy/kubernetes")).unwrap();
    let mut documents = Vec::new();
    for file in folder.map(|file| file.unwrap().path()) {
        let found: Vec<Value> = serde_saphyr::from_multiple(&read(&file))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(!found.is_empty(), "{}", file.display());
        documents.extend(found);
    }
    documents
}

/// The one manifest of a kind, or the first.
fn of_kind(kind: &str) -> Value {
    let found = manifests().into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

/// The container of the Deployment.
fn container() -> (Value, Value) {
    let deployment = of_kind("Deployment");
    let pod = deployment["spec"]["template"]["spec"].clone();
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    (pod["containers"][0].clone(), pod)
}

#[test]
fn every_kind_is_there_and_belongs_together() {
    for kind in [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Secret",
        "Service",
    ] {
        let document = of_kind(kind);
        assert!(document["apiVersion"].is_string(), "{document}");
        assert_eq!(document["metadata"]["name"], "replyguard", "{kind}");
    }
    let labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"].clone();
    for document in manifests() {
        let spec = &document["spec"];
        let selectors = [&spec["selector"]["matchLabels"], &spec["podSelector"]["matchLabels"]];
        for selector in selectors.into_iter().filter(|selector| !selector.is_null()) {
            assert_eq!(*selector, labels, "{document}");
        }
        if document["kind"] == "Service" {
            assert_eq!(spec["selector"], labels);
            let ports = of_ports(&container().0["ports"]);
            for port in spec["ports"].as_array().unwrap() {
                assert!(ports.contains(&port["targetPort"]), "{port}");
            }
        }
    }
    let listed = of_kind("Kustomization")["resources"].clone();
    for file in listed.as_array().unwrap() {
        assert!(root().join("deploy/kubernetes").join(file.as_str().unwrap()).exists(), "{file}");
    }
}

fn of_ports(ports: &Value) -> Vec<Value> {
    ports.as_array().unwrap().iter().map(|port| port["name"].clone()).collect()
}

#[test]
fn pods_are_probed_limited_and_without_rights() {
    let (container, pod) = container();
    for (probe, path) in
        [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path, "{probe}");
        assert_eq!(container[probe]["httpGet"]["port"], "http", "{probe}");
    }
    let resources = &container["resources"];
    assert!(
        resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string()
    );
    // The largest training takes 1.2 GiB, a hundred sites' models 0.4 GiB.
    assert_eq!(resources["limits"]["memory"], "3Gi");
    let rights = &container["securityContext"];
    assert_eq!(rights["readOnlyRootFilesystem"], true);
    assert_eq!(rights["allowPrivilegeEscalation"], false);
    assert_eq!(rights["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["runAsUser"], 10_001, "the user of the Dockerfile");
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    // What is written to stands in a volume.
    let mounts: Vec<_> = container["volumeMounts"].as_array().unwrap().iter().collect();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/data"));
    let volumes = pod["volumes"].as_array().unwrap();
    for mount in mounts {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
    }
    let scaled = of_kind("HorizontalPodAutoscaler");
    assert!(scaled["spec"]["minReplicas"].as_u64() >= Some(2));
    let budget = of_kind("PodDisruptionBudget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    // Longer than a replica waits for another one's first steps.
    assert!(container["startupProbe"]["failureThreshold"].as_u64() >= Some(120));
    let update = &of_kind("Deployment")["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(update["maxUnavailable"], 0, "a new one is ready before an old one leaves");
}

#[test]
fn the_schema_is_brought_up_to_date_where_no_probe_ends_it() {
    let (container, pod) = container();
    let first = pod["initContainers"].as_array().unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["args"], serde_json::json!(["migrate"]));
    for part in ["image", "envFrom", "securityContext", "volumeMounts"] {
        assert_eq!(first[0][part], container[part], "{part}");
    }
}

/// Milliseconds of a variable.
fn millis(variables: &Value, name: &str) -> Option<u64> {
    variables[name].as_str()?.parse().ok()
}

#[test]
fn pods_have_time_to_drain() {
    let (container, pod) = container();
    let variables = of_kind("ConfigMap")["data"].clone();
    let delay = millis(&variables, "REPLYGUARD_DRAIN_DELAY_MS").unwrap();
    let timeout = millis(&variables, "REPLYGUARD_DRAIN_TIMEOUT_MS").unwrap();
    let probe = &container["readinessProbe"];
    let times = |name: &str| probe[name].as_u64().unwrap();
    assert!(delay > 1_000 * times("periodSeconds") * times("failureThreshold"));
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace * 1_000 > delay + timeout + 5_000, "{grace} s");
}

/// Whether a configuration in a manifest is one.
fn assert_configuration(text: &str) {
    let config = Config::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.validate(), Ok(()));
    assert!(config.limits.redis_url.is_some());
}

/// Variables must be ones that the command line reads.
fn assert_variables<'a>(names: impl Iterator<Item = &'a str>) {
    let known = read(&root().join("src/cli/config_args.rs"));
    for name in names.filter(|name| name.starts_with("REPLYGUARD_")) {
        assert!(known.contains(&format!("\"{name}\"")), "{name} is no variable of ours");
    }
}

#[test]
fn settings_are_ours() {
    let data = of_kind("ConfigMap")["data"].clone();
    let data = data.as_object().unwrap();
    assert!(data.values().all(Value::is_string), "values of a ConfigMap are texts: {data:?}");
    assert_variables(data.keys().map(String::as_str));
    assert!(data.keys().all(|name| name.starts_with("REPLYGUARD_")));
    let secret = of_kind("Secret")["stringData"]["replyguard.toml"].clone();
    assert_configuration(secret.as_str().unwrap());
    let (container, pod) = container();
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "replyguard");
    let mounted = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let file = data["REPLYGUARD_CONFIG"].as_str().unwrap();
    assert_eq!(file, format!("{mounted}/replyguard.toml"));
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "replyguard");
}

#[test]
fn compose_has_two_replicas_secrets_in_files_and_health_checks() {
    let compose: Value = serde_saphyr::from_str(&read(&root().join("compose.yaml"))).unwrap();
    let services = compose["services"].as_object().unwrap();
    let ours = &services["replyguard"];
    assert_eq!(ours["deploy"]["replicas"], 2);
    assert_eq!(ours["read_only"], true);
    assert_eq!(ours["deploy"]["resources"]["limits"]["memory"], "3g");
    assert_variables(ours["environment"].as_object().unwrap().keys().map(String::as_str));
    for (name, service) in services {
        let built = service["build"].is_string();
        assert!(built || service["healthcheck"]["test"].is_array(), "{name}: the image has none");
        let variables = service["environment"].as_object().cloned().unwrap_or_default();
        for (variable, value) in variables {
            let secret = ["PASSWORD", "KEY", "TOKEN"].iter().any(|word| variable.contains(word));
            let file = value.as_str().is_some_and(|value| value.starts_with("/run/secrets/"));
            assert!(!secret || file, "{name}: {variable} is given in the open");
        }
        for secret in service["secrets"].as_array().into_iter().flatten() {
            let file = &compose["secrets"][secret.as_str().unwrap()]["file"];
            assert!(file.is_string(), "{name}: {secret}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    let delay = millis(&ours["environment"], "REPLYGUARD_DRAIN_DELAY_MS").unwrap();
    let looks = read(&root().join("deploy/haproxy.cfg"));
    assert_eq!(looks.matches("inter 1s fall 2").count(), 2);
    // A server-template gives it to its first server alone, and the others are never up.
    let given =
        looks.lines().any(|line| !line.trim().starts_with('#') && line.contains("check-proto"));
    assert!(!given, "the protocol of looks stands in http-check connect");
    assert!(delay > 3_000, "longer than the load balancer takes to notice");
    let text = read(&root().join("compose.yaml"));
    let begin = text.find("printf '").unwrap() + "printf '".len();
    let written = &text[begin..begin + text[begin..].find('\'').unwrap()];
    assert_configuration(&written.replace("\\n", "\n").replace("%s", "secret"));
}

#[test]
fn balancers_send_again_only_what_is_the_same_twice() {
    for file in ["deploy/haproxy.cfg", "scripts/cluster.sh"] {
        let text = read(&root().join(file));
        let retries: Vec<_> =
            text.lines().filter_map(|line| line.trim().strip_prefix("retry-on ")).collect();
        // An empty response is one to a request that was sent, and may have been done.
        assert_eq!(retries, ["conn-failure", "conn-failure empty-response"], "{file}: gRPC, HTTP");
        let rules: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("http-request disable-l7-retry unless "))
            .collect();
        let same_twice =
            "METH_GET { path_beg /console } or { path /1.1/comment-check /1.2/comment-check }";
        assert_eq!(rules, [same_twice], "{file}");
    }
}

#[test]
fn the_image_runs_without_rights_and_is_probed() {
    let dockerfile = read(&root().join("Dockerfile"));
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.contains("USER 10001:10001") && last.contains("HEALTHCHECK"), "{last}");
    assert!(dockerfile.matches("\nFROM ").count() == 2, "built in one stage, run in another");
    for line in dockerfile.lines().filter(|line| line.starts_with("FROM ")) {
        assert!(line.contains(':') && !line.contains(":latest"), "{line}");
    }
}

/// The file of a database's address among what a configuration says, as the service reads it.
fn database(text: &str) -> String {
    let url = Config::parse(text).unwrap().storage.database_url.unwrap();
    assert!(url.parse::<PostgresAddress>().is_ok());
    url
}

#[test]
fn databases_elsewhere_say_how_they_are_trusted() {
    // Without `sslmode` a certificate of the web's authorities is expected, which none of these has.
    let secret = of_kind("Secret")["stringData"].clone();
    let url = database(secret["replyguard.toml"].as_str().unwrap());
    let file = url.split("sslrootcert=/etc/replyguard/").nth(1).expect("an authority");
    assert!(secret[file].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"), "{file}");
    let text = read(&root().join("compose.yaml"));
    assert!(text.contains("?sslmode=disable"), "the containers' PostgreSQL has no certificate");
}

#[test]
fn what_is_compiled_in_reaches_the_builder() {
    let ignored = read(&root().join(".dockerignore"));
    let let_in: Vec<PathBuf> =
        ignored.lines().filter_map(|line| Some(root().join(line.strip_prefix('!')?))).collect();
    let mut count = 0;
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = read(&path);
            // What tests read is not compiled in.
            let text = text.split("#[cfg(test)]").next().unwrap();
            for call in ["include_str!(\"", "include_bytes!(\""] {
                for after in text.split(call).skip(1) {
                    let named = folder.join(after.split('"').next().unwrap());
                    let file = named.canonicalize().unwrap();
                    let known = let_in.iter().any(|let_in| file.starts_with(let_in));
                    assert!(known, "{}: {} is ignored", path.display(), file.display());
                    count += 1;
                }
            }
        }
    }
    assert!(count > 40, "only {count} files were found");
}
