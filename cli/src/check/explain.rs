//! `migtwin check --explain VM HOST`: every rule for one guest and one destination.

use std::io::Write;

use algorithms::ids::{HostId, Name, VmId};
use algorithms::preflight::{Finding, Refusal, Rule};
use models::cluster::ClusterModel;
use models::preflight::explain;
use reports::plain_table;
use scenarios::Scenario;
use serde::Serialize;

use super::json;
use crate::arguments::Format;
use crate::failure::Failure;
use crate::terminal;

/// The JSON of `--explain`, version 1.
#[derive(Serialize)]
struct Report {
    schema: u32,
    explanations: Vec<Explanation>,
}

/// Every rule for one guest and one destination, as the cluster stands at first.
#[derive(Serialize)]
struct Explanation {
    scenario: Name,
    alternative: Option<Name>,
    vm: Name,
    source: Name,
    destination: Name,
    can_move: bool,
    rules: Vec<Explained>,
}

/// A rule: why it holds, or what it refuses.
#[derive(Serialize)]
struct Explained {
    rule: Rule,
    holds: bool,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
}

/// Runs the command for every alternative.
pub fn run(scenarios: &[Scenario], vm: &str, host: &str, format: Format) -> Result<(), Failure> {
    let runs = scenarios.iter().flat_map(|scenario| &scenario.runs);
    let explanations =
        runs.map(|run| explanation(&run.model, vm, host)).collect::<Result<Vec<_>, Failure>>()?;
    let refused = explanations.iter().filter(|each| !each.can_move).count();
    let text = match format {
        Format::Table => explanations.iter().map(text).collect::<Vec<_>>().join("\n"),
        Format::Json => json(&Report { schema: 1, explanations })?,
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    match refused {
        0 => Ok(()),
        _ => Err(Failure::CannotRun(format!("`{vm}` cannot move to `{host}` as things stand"))),
    }
}

fn explanation(model: &ClusterModel, vm: &str, host: &str) -> Result<Explanation, Failure> {
    let guests = model.guests.iter().map(|guest| &guest.name);
    let vm = VmId(find(model, "virtual machine", vm, guests)?);
    let host = HostId(find(model, "host", host, model.hosts.iter().map(|host| &host.name))?);
    let findings = explain(model, vm, host).unwrap_or_default();
    let guest = &model.guests[vm.index()];
    Ok(Explanation {
        scenario: model.name.clone(),
        alternative: model.alternative.clone(),
        vm: guest.name.clone(),
        source: model.hosts[guest.host.index()].name.clone(),
        destination: model.hosts[host.index()].name.clone(),
        can_move: findings.iter().all(|finding| finding.verdict.is_ok()),
        rules: findings.into_iter().map(explained).collect(),
    })
}

fn explained(finding: Finding) -> Explained {
    match finding.verdict {
        Ok(why) => Explained { rule: finding.rule, holds: true, why, refusal: None },
        Err(refusal) => Explained {
            rule: finding.rule,
            holds: false,
            why: refusal.message.clone(),
            refusal: Some(refusal),
        },
    }
}

fn find<'a>(
    model: &ClusterModel,
    what: &'static str,
    name: &str,
    names: impl Iterator<Item = &'a Name> + Clone,
) -> Result<u32, Failure> {
    const SHOWN: usize = 8;
    let found = names.clone().zip(0..).find(|(known, _)| ***known == *name);
    found.map(|(_, index)| index).ok_or_else(|| Failure::Unknown {
        what,
        name: name.to_string(),
        scenario: model.name.to_string(),
        known: names.take(SHOWN).map(|name| name.to_string()).collect::<Vec<_>>().join(", "),
    })
}

fn text(explanation: &Explanation) -> String {
    let Explanation { scenario, vm, source, destination, .. } = explanation;
    let alternative = explanation.alternative.as_ref().map(|name| format!(" · {name}")).unwrap_or_default();
    let row = |explained: &Explained| {
        let verdict = if explained.holds { "pass" } else { "FAIL" };
        vec![explained.rule.name().to_string(), verdict.to_string(), explained.why.clone()]
    };
    let rows: Vec<Vec<String>> = explanation.rules.iter().map(row).collect();
    let table = plain_table(&["rule", "verdict", "why"], &rows, terminal::table_options());
    let fixes = explanation.rules.iter().filter_map(|explained| {
        let refusal = explained.refusal.as_ref()?;
        Some(format!(
            "{}\n  cause     {}\n  fix       {}\n",
            explained.rule.name(),
            refusal.cause,
            refusal.fix
        ))
    });
    format!("{scenario}{alternative} · {vm}: {source} → {destination}\n{table}{}", fixes.collect::<String>())
}
