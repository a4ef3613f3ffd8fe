//! The units, the manifests and the image: what they start is what the command takes.

use std::process::Command;

use fleetlog_tests::{Fixture, binaries, programs};
use serde_json::Value;

use crate::{of_repository, parses, read};

const SERVICE: &str = "packaging/systemd/fleetlog.service";
const SOCKET: &str = "packaging/systemd/fleetlog.socket";

/// The values of a key of a unit, with continued lines joined.
fn values(unit: &str, key: &str) -> Vec<String> {
    let text = read(unit).replace("\\\n", " ");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).collect()
}

fn value(unit: &str, key: &str) -> String {
    let mut values = values(unit, key);
    assert_eq!(values.len(), 1, "{key} in {unit}: {values:?}");
    values.remove(0)
}

/// A YAML file's documents; `None`, said loudly, where nothing here reads YAML.
fn yaml(path: &str) -> Option<Vec<Value>> {
    const PROGRAM: &str =
        "import json, sys, yaml\nprint(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    // Debian's own Python has what Debian installs, whichever stands first in the path.
    let has_yaml = |python: &&str| {
        let imported = Command::new(python).args(["-c", "import yaml"]).output();
        imported.is_ok_and(|output| output.status.success())
    };
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(has_yaml) else {
        return programs::missing("a Python with yaml", "apt-get install python3-yaml");
    };
    let output = Command::new(python).args(["-c", PROGRAM]).arg(of_repository(path)).output();
    let output = output.expect("it ran a moment ago");
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Every command of `fleetlog` in a document: a list of texts that begins with it or, where the
/// image begins with it, the arguments alone.
fn commands(document: &Value, found: &mut Vec<Vec<String>>) {
    match document {
        Value::Array(list) => {
            let words: Option<Vec<_>> = list.iter().map(|word| word.as_str()).collect();
            if let Some(words) = words {
                let own = words.iter().position(|word| *word == "fleetlog");
                if let Some(at) = own {
                    found.push(words[at + 1..].iter().map(|word| (*word).to_owned()).collect());
                } else if words.first() == Some(&"listen") {
                    found.push(words.iter().map(|word| (*word).to_owned()).collect());
                }
            }
            list.iter().for_each(|part| commands(part, found));
        }
        Value::Object(parts) => parts.values().for_each(|part| commands(part, found)),
        _ => {}
    }
}

fn demand_commands(path: &str, expected: &[&str]) -> Option<Vec<Value>> {
    let documents = yaml(path)?;
    let mut found = Vec::new();
    documents.iter().for_each(|document| commands(document, &mut found));
    for line in &found {
        assert_eq!(parses(line), Ok(()), "{path}: {line:?}");
    }
    let mut names: Vec<_> = found.iter().map(|line| line[0].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, expected, "{path}");
    Some(documents)
}

#[test]
fn the_commands_of_the_unit_are_accepted() {
    let line = value(SERVICE, "ExecStart");
    let mut words = line.split_whitespace();
    assert!(words.next().is_some_and(|program| program.ends_with("/fleetlog")), "{line}");
    let words: Vec<_> = words.collect();
    assert_eq!(words[0], "listen");
    assert_eq!(parses(&words), Ok(()), "{line}");
}

/// Two files that must agree: one of them moved alone would be refused at the next start.
#[test]
fn the_socket_unit_binds_what_the_listener_expects() {
    let line = value(SERVICE, "ExecStart");
    let run_dir = line.split_once("--run-dir ").expect("a run directory").1;
    let run_dir = run_dir.split_whitespace().next().expect("a path");
    assert_eq!(value(SOCKET, "ListenStream"), format!("{run_dir}/socket"));
    assert_eq!(value(SOCKET, "ListenDatagram"), format!("{run_dir}/dgram"));
    assert_eq!(run_dir, format!("/run/{}", value(SERVICE, "RuntimeDirectory")));
    assert_eq!(value(SERVICE, "RuntimeDirectoryPreserve"), "yes", "the lanes outlive a stop");
    assert_eq!(value(SERVICE, "Type"), "notify");
    for word in line.split_whitespace().filter(|word| word.starts_with("/var/log/")) {
        let folder = format!("/var/log/{}/", value(SERVICE, "LogsDirectory"));
        assert!(word.starts_with(&folder), "{word} is not in the folder that may be written");
    }
}

#[test]
fn systemd_finds_no_mistake_in_the_units() {
    let fixture = Fixture::new(binaries!());
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return programs::missing("systemd-analyze", "apt-get install systemd").unwrap_or(());
    }
    // The program that the unit names must exist: here it is the one under test.
    let (folder, program) = (fixture.path().join("units"), binaries!().fleetlog);
    std::fs::create_dir(&folder).expect("a folder");
    let service = read(SERVICE).replace("/usr/bin/fleetlog", program);
    std::fs::write(folder.join("fleetlog.service"), service).expect("a unit");
    std::fs::write(folder.join("fleetlog.socket"), read(SOCKET)).expect("a unit");
    let verify = |folder: &std::path::Path| {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--recursive-errors=no", "--man=no"]);
        let units = ["fleetlog.service", "fleetlog.socket"].map(|unit| folder.join(unit));
        let output = command.args(units).output().expect("systemd-analyze");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // What it says of other units of this host is not ours.
        let ours: Vec<_> =
            said.lines().filter(|line| line.contains("fleetlog")).map(str::to_owned).collect();
        ours.join("\n")
    };
    assert_eq!(verify(&folder), "");
    let wrong = read(SERVICE).replace("NoNewPrivileges=yes", "NoNewPrivilege=yes");
    std::fs::write(folder.join("fleetlog.service"), wrong.replace("/usr/bin/fleetlog", program))
        .expect("a unit");
    assert!(verify(&folder).contains("NoNewPrivilege"), "a mistake would be found");
}

#[test]
fn the_commands_of_the_pod_are_accepted() {
    let path = "packaging/kubernetes/sidecar.yaml";
    let Some(documents) = demand_commands(path, &["listen", "status", "status"]) else { return };
    let pod = &documents[0]["spec"];
    let sidecar = &pod["initContainers"][0];
    assert_eq!(sidecar["restartPolicy"], "Always", "a native sidecar");
    // Everybody finds the same run directory, in the volume that is in memory.
    let run_dirs = |container: &Value| {
        let variables = container["env"].as_array().cloned().unwrap_or_default();
        let of = |variable: &Value| variable["name"] == "FLEETLOG_RUN_DIR";
        variables.iter().find(|variable| of(variable)).map(|variable| variable["value"].clone())
    };
    let run_dir = run_dirs(sidecar).expect("the sidecar's run directory");
    let workers = pod["containers"].as_array().expect("containers");
    for container in workers.iter().chain([sidecar]) {
        assert_eq!(run_dirs(container).as_ref(), Some(&run_dir), "{}", container["name"]);
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(|mount| mount["name"] == "run").expect("the volume");
        let mount = mount["mountPath"].as_str().expect("a path");
        let below = run_dir.as_str().expect("a path").strip_prefix(mount);
        assert!(below.is_some_and(|below| below.starts_with('/')), "a folder below {mount}");
    }
    let volumes = pod["volumes"].as_array().expect("volumes");
    let run = volumes.iter().find(|volume| volume["name"] == "run").expect("the volume");
    assert_eq!(run["emptyDir"]["medium"], "Memory");
}

#[test]
fn the_commands_of_the_compose_file_are_accepted() {
    let path = "packaging/compose/compose.yaml";
    let Some(documents) = demand_commands(path, &["listen", "status"]) else { return };
    let services = documents[0]["services"].as_object().expect("services");
    for (name, service) in services {
        assert_eq!(service["user"], services["log"]["user"], "{name}: one user, or no lanes");
        let mounts = service["volumes"].as_array().expect("volumes");
        assert!(mounts.iter().any(|mount| mount == "run:/run/fleetlog"), "{name}");
    }
}

/// What the pod's comment says of the volume's own folder: it is open to everybody.
#[test]
fn a_volume_that_everybody_may_write_is_no_run_directory_but_a_folder_in_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new(binaries!());
    let volume = fixture.path().join("volume");
    std::fs::create_dir(&volume).expect("a folder");
    let open = std::fs::Permissions::from_mode(0o2777);
    std::fs::set_permissions(&volume, open).expect("its mode");
    let mut refused = fixture.command(["listen", "--run-dir", volume.to_str().expect("UTF-8")]);
    assert_eq!(refused.code(), 1, "{}", refused.output());
    let below = volume.join("run");
    let below = below.to_str().expect("UTF-8");
    let listener = fixture.listener().with(["--run-dir", below]).launch();
    fleetlog_tests::wait::until("the listener answers", || {
        fixture.command(["status", "--run-dir", below]).code() == 0
    });
    fixture.command(["stop", "--run-dir", below]).succeed();
    drop(listener);
}

/// The image's entry is the command, and its default arguments are some that it takes.
#[test]
fn the_image_starts_the_listener() {
    let text = read("packaging/compose/Dockerfile");
    let list = |keyword: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(keyword)).expect(keyword);
        serde_json::from_str(line).expect("a list of texts")
    };
    assert_eq!(list("ENTRYPOINT "), ["fleetlog"]);
    assert_eq!(parses(list("CMD ")), Ok(()));
}
