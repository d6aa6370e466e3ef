//! Introspection of the control socket: the schema says what commands do, and fits QEMU's own where that is installed.

use crate::client::{served, talk};
use crate::guest_files::say;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// Everything that a schema names.
struct Schema(BTreeMap<String, Value>);

/// The parts of a type that two schemas can be compared by; names of types mean nothing.
impl Schema {
    fn new(list: &Value) -> Self {
        let name = |info: &Value| info["name"].as_str().expect("each has a name").to_string();
        let all = list.as_array().expect("a list").iter();
        let named: BTreeMap<String, Value> = all.map(|info| (name(info), info.clone())).collect();
        assert_eq!(named.len(), list.as_array().map_or(0, Vec::len), "names are unique");
        Schema(named)
    }

    fn get(&self, name: &Value) -> &Value {
        let name = name.as_str().expect("types are named");
        self.0.get(name).unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0
            .iter()
            .filter(move |(_, info)| info["meta-type"] == kind)
            .map(|(name, info)| (name.as_str(), info))
    }

    /// The members of an object in each of its cases, and in all of them under no name: their types, and whether they
    /// are always there.
    fn cases(&self, object: &Value) -> BTreeMap<String, BTreeMap<String, (Value, bool)>> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut base = BTreeMap::new();
        for member in list(&object["members"]) {
            let name = member["name"].as_str().expect("a name").to_string();
            base.insert(name, (member["type"].clone(), member.get("default").is_none()));
        }
        let mut cases = BTreeMap::new();
        for variant in list(&object["variants"]) {
            let own = self.cases(self.get(&variant["type"])).remove("").expect("there are always those");
            let case = variant["case"].as_str().expect("a name").to_string();
            cases.insert(case, base.clone().into_iter().chain(own).collect());
        }
        cases.insert(String::new(), base);
        cases
    }

    /// The members that an object has in all cases.
    fn members(&self, object: &Value) -> BTreeMap<String, (Value, bool)> {
        self.cases(object).remove("").expect("there are always those")
    }

    /// A value that is none of this type.
    fn wrong(&self, of: &Value) -> Value {
        let info = self.get(of);
        match (info["meta-type"].as_str(), info["json-type"].as_str()) {
            (Some("builtin"), Some("string")) => json!(5),
            (Some("builtin"), Some("int")) => json!(1.5),
            (Some("builtin"), _) => json!("yes"),
            (Some("enum"), _) => json!("no such value"),
            (Some("array"), _) => json!({}),
            _ => json!([]),
        }
    }
}

/// How a type of ours, `of` in `ours`, does not fit `other` in `theirs`. `given` says that we give it and do not take
/// it.
fn misfits(
    ours: &Schema,
    of: &Value,
    theirs: &Schema,
    other: &Value,
    given: bool,
    path: &str,
    out: &mut Vec<String>,
) {
    let (a, b) = (ours.get(of), theirs.get(other));
    let mut say = |what: String| out.push(format!("{path}: {what}"));
    match a["meta-type"].as_str() {
        kind if b["meta-type"].as_str() != kind => say(format!("{a} is not {b}")),
        Some("builtin") if a["json-type"] != b["json-type"] => say(format!("{a} is not {b}")),
        Some("enum") => {
            let theirs = b["values"].as_array().expect("a list");
            let unknown =
                a["values"].as_array().expect("a list").iter().filter(|value| !theirs.contains(value));
            unknown.for_each(|value| say(format!("no value {value}")));
        }
        Some("array") => {
            misfits(ours, &a["element-type"], theirs, &b["element-type"], given, &format!("{path}[]"), out);
        }
        Some("object") => {
            let others = theirs.cases(b);
            let mut cases = ours.cases(a);
            if cases.len() > 1 {
                cases.remove("");
            }
            for (case, a) in cases {
                // A case without members of its own need not be one there.
                let b = others.get(&case).or(others.get(""));
                match b {
                    Some(b) => members_misfit((ours, &a), (theirs, b), given, path, out),
                    None => out.push(format!("{path}: no case {case}")),
                }
            }
        }
        _ => {}
    }
}

/// A schema, and the members of an object in it.
type Members<'a> = (&'a Schema, &'a BTreeMap<String, (Value, bool)>);

/// How an object's members do not fit those of another; see [`misfits`].
fn members_misfit(ours: Members<'_>, theirs: Members<'_>, given: bool, path: &str, out: &mut Vec<String>) {
    for (name, (of, always)) in ours.1 {
        let path = format!("{path}.{name}");
        match theirs.1.get(name) {
            None if given || *always => out.push(format!("{path}: is not there")),
            None => out.push(format!("{path}: is more than there is")),
            Some((_, other_always)) if !given && *always && !other_always => {
                out.push(format!("{path}: may be absent"));
            }
            Some((other, _)) => misfits(ours.0, of, theirs.0, other, given, &path, out),
        }
    }
    let missing =
        theirs.1.iter().filter(|(name, (_, always))| given && *always && !ours.1.contains_key(*name));
    missing.for_each(|(name, _)| out.push(format!("{path}.{name}: is missing")));
}

/// The schema of this program, from a session that then does `more` with it.
fn ours(more: impl FnOnce(&mut crate::client::Client, &Schema) + Send + 'static) -> Schema {
    let (mut machine, mut desk, server) = served(true);
    let (schema, _) = talk(&mut machine, &mut desk, &server, |mut c| {
        c.negotiate();
        let schema = Schema::new(&c.run("query-qmp-schema", json!({})));
        more(&mut c, &schema);
        schema
    });
    schema
}

#[test]
fn the_schema_has_the_commands_that_there_are_and_what_they_take() {
    ours(|c, schema| {
        let commands = c.run("query-commands", json!({}));
        let mut listed: Vec<&str> = commands
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|command| command["name"].as_str())
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, schema.of_kind("command").map(|(name, _)| name).collect::<Vec<_>>());
        for (name, info) in schema.of_kind("command") {
            let members = schema.members(schema.get(&info["arg-type"]));
            let request = |arguments: Value| json!({"execute": name, "arguments": arguments}).to_string();
            let unknown = c.refused(&request(json!({"no-such-member": 1})));
            assert!(unknown.contains("unknown field `no-such-member`"), "{name}: {unknown}");
            if members.values().any(|(_, always)| *always) {
                let missing = c.refused(&request(json!({})));
                assert!(missing.contains("missing field"), "{name}: {missing}");
            }
            for (member, (of, _)) in &members {
                let wrong = c.refused(&request(json!({ member: schema.wrong(of) })));
                assert!(
                    wrong.contains("invalid") || wrong.contains("unknown variant"),
                    "{name}, {member}: {wrong}"
                );
                let null = c.refused(&request(json!({ member: null })));
                assert!(null.contains("null"), "{name}, {member}: {null}");
            }
        }
    });
}

/// What a type says is what is given, member by member.
fn fits(schema: &Schema, of: &Value, value: &Value, path: &str) {
    let info = schema.get(of);
    match (info["meta-type"].as_str(), info["json-type"].as_str()) {
        (Some("builtin"), Some("string")) => assert!(value.is_string(), "{path}: {value}"),
        (Some("builtin"), Some("int")) => assert!(value.is_i64() || value.is_u64(), "{path}: {value}"),
        (Some("builtin"), Some("boolean")) => assert!(value.is_boolean(), "{path}: {value}"),
        (Some("builtin"), Some("value")) => {}
        (Some("enum"), _) => {
            assert!(info["values"].as_array().expect("a list").contains(value), "{path}: {value}");
        }
        (Some("array"), _) => {
            for value in value.as_array().expect("a list") {
                fits(schema, &info["element-type"], value, &format!("{path}[]"));
            }
        }
        (Some("object"), _) => {
            let case = info["tag"].as_str().map_or("", |tag| value[tag].as_str().expect("a case"));
            let members = schema.cases(info).remove(case).unwrap_or_else(|| panic!("{path}: no case {case}"));
            let value = value.as_object().expect("an object");
            for (name, (of, always)) in &members {
                match value.get(name) {
                    Some(value) => fits(schema, of, value, &format!("{path}.{name}")),
                    None => assert!(!always, "{path}.{name} is missing"),
                }
            }
            value.keys().for_each(|name| assert!(members.contains_key(name), "{path}.{name} is unknown"));
        }
        other => panic!("{path}: a type of kind {other:?}"),
    }
}

#[test]
fn answers_are_what_the_schema_says() {
    ours(|c, schema| {
        let asks = schema.of_kind("command").filter(|(name, _)| name.contains("query-"));
        let mut asked = 0;
        for (name, info) in asks {
            fits(schema, &info["ret-type"], &c.run(name, json!({})), name);
            asked += 1;
        }
        assert!(asked >= 11, "{asked}");
    });
}

/// QEMU's schema; `None` where it is not installed.
fn qemus() -> Option<Schema> {
    let mut qemu = Command::new("qemu-system-i386");
    qemu.args(["-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]);
    let mut child = qemu.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let requests =
        ["qmp_capabilities", "query-qmp-schema", "quit"].map(|name| json!({"execute": name}).to_string());
    child.stdin.take().expect("a pipe").write_all(requests.join("\n").as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("what it printed");
    let text = String::from_utf8(output.stdout).expect("JSON");
    let answers = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let list = answers.map(|answer| answer["return"].clone()).find(Value::is_array);
    Some(Schema::new(&list.expect("a schema")))
}

#[test]
fn a_client_of_qemu_finds_what_it_expects() {
    let Some(qemu) = qemus() else {
        say(&"schema of the control socket", &"not compared with QEMU's, qemu-system-i386 is not installed");
        return;
    };
    let ours = ours(|_, _| ());
    let mut out = Vec::new();
    let mut compared = 0;
    for (name, info) in ours.0.iter().filter(|(name, _)| !name.starts_with("x-idem86-")) {
        let Some(other) = qemu.0.get(name) else { continue };
        if !matches!(info["meta-type"].as_str(), Some("command" | "event")) {
            continue;
        }
        assert_eq!(info["meta-type"], other["meta-type"], "{name}");
        let given = info["meta-type"] == "event";
        misfits(&ours, &info["arg-type"], &qemu, &other["arg-type"], given, name, &mut out);
        if !given {
            misfits(
                &ours,
                &info["ret-type"],
                &qemu,
                &other["ret-type"],
                true,
                &format!("{name} ->"),
                &mut out,
            );
        }
        compared += 1;
    }
    let named = ours.of_kind("command").chain(ours.of_kind("event"));
    assert_eq!(
        compared,
        named.filter(|(name, _)| !name.starts_with("x-idem86-")).count(),
        "QEMU has all of them"
    );
    // QEMU 9 has it no longer.
    out.retain(|what| what != "query-status ->.singlestep: is missing");
    // Where a snapshot is, which QEMU knows by its devices.
    assert_eq!(out, ["snapshot-delete.vmstate: is more than there is"]);
}
