//! No text makes the reader panic, hang or take memory without bounds: it gives an error or a model.

use std::time::{Duration, Instant};

use models::world::{Metering, RunOptions, simulate};
use proptest::prelude::*;
use scenarios::parse;
use sim_core::Span;

const SCENARIOS: [&str; 5] = [
    include_str!("../library/precopy-101.ron"),
    include_str!("../library/drain-rack.ron"),
    include_str!("../library/grid5000-plan.ron"),
    include_str!("../library/finn-10gbe.ron"),
    include_str!("bad/no-path.ron"),
];

/// Parses, shows what is wrong, and runs what is not.
fn exercise(text: &str) {
    match parse(text, "text.ron") {
        Err(error) => {
            let mut report = String::new();
            let handler = miette::GraphicalReportHandler::new();
            assert!(handler.render_report(&mut report, &error).is_ok());
            assert!(!report.is_empty());
        }
        Ok(scenario) => {
            // What is accepted must run; a short horizon, since a mutation may make it long.
            let options = RunOptions {
                metering: Metering::Off,
                horizon: Span::from_secs(600),
                ..RunOptions::default()
            };
            for run in scenario.runs.iter().take(2) {
                let simulated = simulate(&run.model, &options);
                assert!(simulated.is_ok(), "{simulated:?}");
            }
        }
    }
}

/// A change of a text, at a place given as a share of its length.
#[derive(Debug, Clone)]
enum Change {
    Delete(f64, usize),
    Insert(f64, String),
    Repeat(f64, usize),
    Replace(f64, String),
    /// Two texts in quotes change places: still RON, but names and quantities stand where others did.
    Swap(f64, f64),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop_oneof![
        "[\\(\\)\\[\\]\\{\\},:\"'/*#!.{}-]{1,3}",
        "[0-9]{1,20}",
        "\\PC{1,3}",
        prop_oneof![
            Just("NaN"),
            Just("inf"),
            Just("-1"),
            Just("\"0 B\""),
            Just("\"*\""),
            Just("None"),
            Just("Some("),
            Just("\"18446744073709551615 B\""),
            Just("\"0 s\""),
            Just("Unlimited"),
            Just("\u{0}"),
            Just("é"),
        ]
        .prop_map(str::to_string),
    ];
    prop_oneof![
        1 => (0.0..1.0, 1usize..40).prop_map(|(at, length)| Change::Delete(at, length)),
        1 => (0.0..1.0, words.clone()).prop_map(|(at, text)| Change::Insert(at, text)),
        1 => (0.0..1.0, 1usize..60).prop_map(|(at, length)| Change::Repeat(at, length)),
        1 => (0.0..1.0, words).prop_map(|(at, text)| Change::Replace(at, text)),
        3 => (0.0..1.0, 0.0..1.0).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let characters: Vec<char> = text.chars().collect();
    let place = |at: f64| (at * characters.len() as f64) as usize;
    let cut = |from: usize, to: usize| -> String {
        let to = to.min(characters.len());
        characters[from.min(to)..to].iter().collect()
    };
    let all = characters.len();
    match change {
        Change::Swap(one, other) => swap(text, *one, *other),
        Change::Delete(at, length) => cut(0, place(*at)) + &cut(place(*at) + length, all),
        Change::Insert(at, word) => cut(0, place(*at)) + word + &cut(place(*at), all),
        Change::Repeat(at, length) => {
            cut(0, place(*at) + length)
                + &cut(place(*at), place(*at) + length)
                + &cut(place(*at) + length, all)
        }
        Change::Replace(at, word) => cut(0, place(*at)) + word + &cut(place(*at) + word.len(), all),
    }
}

/// Texts in quotes are every second part between quotes, as long as comments have none of them.
fn swap(text: &str, one: f64, other: f64) -> String {
    let mut parts: Vec<&str> = text.split('"').collect();
    let quoted = parts.len() / 2;
    let place = |at: f64| 2 * (at * quoted as f64) as usize + 1;
    if quoted > 0 {
        parts.swap(place(one).min(2 * quoted - 1), place(other).min(2 * quoted - 1));
    }
    parts.join("\"")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_scenarios_give_an_error_or_a_model_that_runs(
        which in 0..SCENARIOS.len(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let text = changes.iter().fold(SCENARIOS[which].to_string(), |text, change| apply(&text, change));
        exercise(&text);
    }

    #[test]
    fn any_text_gives_an_error(text in "\\PC{0,200}") {
        exercise(&text);
    }
}

#[test]
fn hostile_texts_are_refused_soon() {
    let deep = "(hosts: ".to_string() + &"[".repeat(1_000_000);
    let wide = format!("(hosts: [{}])", "0,".repeat(3_000_000));
    let host = r#"hosts: [(name: "n{1..90000}", memory: "1 TiB")]"#;
    let entries = r#"(name: "v", host: "*", memory: "1 MiB"),"#.repeat(100_000);
    let many_named = format!("(alternatives: {{{}}})", "\"a\": (),".repeat(400_000));
    let many_fields = format!("({})", "seed: 1,".repeat(500_000));
    let texts = [
        deep,
        wide,
        many_fields,
        many_named,
        format!("({host}, vms: [{entries}], plan: [])"),
        r#"(hosts: [(name: "n{1..99999999999}", memory: "1 TiB")])"#.to_string(),
        r#"(hosts: [(name: "n{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}{1..9}", memory: "1 B")])"#
            .to_string(),
        format!("(name: \"{}\")", "x".repeat(8_000_000)),
        "/*".repeat(1_000_000),
        "(".repeat(200) + &")".repeat(200),
    ];
    for text in texts {
        let start = Instant::now();
        assert!(parse(&text, "hostile").is_err());
        let took = start.elapsed();
        let head: String = text.chars().take(60).collect();
        assert!(took < Duration::from_secs(30), "{head} … took {took:?}");
    }
}
