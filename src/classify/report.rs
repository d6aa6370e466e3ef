//! The classification for readers: text and JSON.

use super::{Entry, Group, Observation, umip};
use crate::compare::measure::host;
use serde_json::json;

/// The table for terminals.
pub fn text(entries: &[Entry]) -> String {
    let group = |group| entries.iter().filter(move |entry| entry.group == group);
    let names = |group_of| group(group_of).map(|entry| entry.name.as_str()).collect::<Vec<_>>();
    let mut out = format!("host: {}\n", host());
    out += match umip() {
        Some(true) => "UMIP: on; SGDT, SIDT, SLDT, STR and SMSW trap in user mode\n",
        Some(false) => "UMIP: off; SGDT, SIDT, SLDT, STR and SMSW show the host's registers to user code\n",
        None => "UMIP: not known\n",
    };
    for (group_of, title) in [
        (Group::Privileged, "Privileged and sensitive: they trap where they are not allowed"),
        (Group::Sensitive, "Sensitive, but not privileged (* in Robin and Irvine's list)"),
    ] {
        out += &format!("\n{title}: {}\n", group(group_of).count());
        for entry in group(group_of) {
            let star = if entry.in_robin_irvine() { "*" } else { " " };
            let observed = match &entry.observed {
                Some(Ok(observation)) => observation.to_string(),
                Some(Err(why)) => format!("not executed: {why}"),
                None => String::new(),
            };
            out += &format!(" {star}{:26} {observed}\n", entry.name);
        }
    }
    let innocuous = names(Group::Innocuous);
    out += &format!("\nInnocuous: {}\n", innocuous.len());
    let mut line = String::new();
    for name in innocuous {
        if line.len() + name.len() > 100 {
            out += &format!(" {line}\n");
            line.clear();
        }
        line = format!("{line} {name}");
    }
    out += &format!(" {line}\n\n{}\n", verdict(entries));
    out
}

/// Popek and Goldberg's theorem on what was seen.
fn verdict(entries: &[Entry]) -> String {
    let silent = |entry: &&Entry| matches!(entry.observed, Some(Ok(Observation::Silent(_))));
    match entries.iter().filter(silent).count() {
        0 if entries.iter().any(|entry| matches!(entry.observed, Some(Ok(_)))) => {
            "Every sensitive instruction that was executed trapped.".into()
        }
        0 => "No instruction could be executed on this host.".into(),
        n => format!(
            "{n} sensitive instructions do not trap in user mode on this host: by Popek and Goldberg's theorem no \
             monitor\ncan be built from traps alone."
        ),
    }
}

/// Everything as JSON.
pub fn json(entries: &[Entry]) -> String {
    let list: Vec<_> = entries
        .iter()
        .map(|entry| {
            let mut value = json!({
                "name": entry.name,
                "class": format!("{:?}", entry.class),
                "group": format!("{:?}", entry.group).to_lowercase(),
                "robin_irvine": entry.in_robin_irvine(),
            });
            match &entry.observed {
                None => {}
                Some(Err(why)) => value["not_executed"] = json!(why),
                Some(Ok(Observation::Traps { vector, error })) => {
                    value["observed"] = json!({ "traps": true, "vector": vector, "error_code": error });
                }
                Some(Ok(Observation::Answered(what))) => {
                    value["observed"] = json!({ "traps": true, "umip": true, "answer": what });
                }
                Some(Ok(Observation::Silent(what))) => {
                    value["observed"] = json!({ "traps": false, "what": what })
                }
            }
            value
        })
        .collect();
    format!("{:#}\n", json!({ "host": host(), "umip": umip(), "instructions": list }))
}
