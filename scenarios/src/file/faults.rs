//! What breaks.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use sim_core::{Bytes, SimTime, Span};

use crate::read::at::At;

/// Something that breaks, at a point of the run or at a step of a guest's migration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a fault, such as (at: \"30 s\", fault: HostDies(\"node2\")) or (vm: \"web1\", step: Pause, fault: SourceDies)"
)]
#[schemars(rename = "Fault")]
pub(crate) struct FaultFile {
    /// Time since the run began. Either this or `vm`.
    pub(crate) at: Option<At<SimTime>>,
    /// The guest, or guests, in whose migration it happens: once, in the first that comes to `step`.
    pub(crate) vm: Option<At<String>>,
    /// The step of the migration.
    pub(crate) step: Option<At<MigrationStepFile>>,
    /// So long after the step began; at once by default.
    pub(crate) after: Option<At<Span>>,
    /// What breaks.
    pub(crate) fault: At<WhatFile>,
}

/// A step of a migration.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "MigrationStep")]
pub(crate) enum MigrationStepFile {
    /// Connecting, authenticating, creating the guest at the destination.
    Preparation,
    /// The copying of its first disk.
    Disks,
    /// A round of its memory: Round(1) is the first.
    Round(u32),
    /// The order to stand still.
    Pause,
    /// The order to run at the destination.
    HandOver,
    /// Removing what is left at the source.
    CleanUp,
}

/// What breaks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "What")]
pub(crate) enum WhatFile {
    /// A host, or several, for good: HostDies("node2").
    HostDies(At<String>),
    /// The source of the migration, for good. With `vm`.
    SourceDies,
    /// The destination of the migration, for good. With `vm`.
    DestinationDies,
    /// Links between two points: LinkDown(between: ("node1", "switch"), lasts: "5 s").
    LinkDown(LinkDownFile),
    /// All links of the migration's destination: NetworkDown(lasts: "5 s"). With `vm`.
    NetworkDown(LastsFile),
    /// Nobody can authenticate with a host: AuthenticationFails(host: "node2", lasts: "1 min").
    AuthenticationFails(AuthenticationFailsFile),
    /// Other guests take memory, as far as none of these has it: MemoryTaken(host: "node2", amount: "40 GiB").
    MemoryTaken(MemoryTakenFile),
    /// Others take all the space that is left: StorageFull("csv1").
    StorageFull(At<String>),
    /// No host reaches storage: StorageLost(storage: "csv1", lasts: "30 s").
    StorageLost(StorageLostFile),
    /// A host of the migration says that something broke: Fails(Authentication). With `vm`.
    Fails(CategoryFile),
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(rename = "FailureCategory")]
pub(crate) enum CategoryFile {
    /// The hosts cannot authenticate each other.
    Authentication,
    /// The connection was closed.
    Network,
    /// The destination has no memory.
    Resources,
    /// The guest's disks cannot be opened.
    Storage,
}

/// Links that are down for a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "links, such as LinkDown(between: (\"node1\", \"switch\"), lasts: \"5 s\")"
)]
#[schemars(rename = "LinkDown")]
pub(crate) struct LinkDownFile {
    /// Two hosts or switches, or patterns of such; without a `network`, the switch is "switch".
    pub(crate) between: (At<String>, At<String>),
    /// For how long.
    pub(crate) lasts: Span,
}

/// Something that lasts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a time, such as NetworkDown(lasts: \"5 s\")")]
#[schemars(rename = "Lasts")]
pub(crate) struct LastsFile {
    /// For how long.
    pub(crate) lasts: Span,
}

/// A host that cannot authenticate for a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a host, such as AuthenticationFails(host: \"node2\", lasts: \"1 min\")"
)]
#[schemars(rename = "AuthenticationFails")]
pub(crate) struct AuthenticationFailsFile {
    /// Which, or several.
    pub(crate) host: At<String>,
    /// For how long.
    pub(crate) lasts: Span,
}

/// Memory that others take.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "memory, such as MemoryTaken(host: \"node2\", amount: \"40 GiB\")")]
#[schemars(rename = "MemoryTaken")]
pub(crate) struct MemoryTakenFile {
    /// Of which host, or hosts.
    pub(crate) host: At<String>,
    /// How much.
    pub(crate) amount: Bytes,
}

/// Storage that is out of reach for a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "storage, such as StorageLost(storage: \"csv1\", lasts: \"30 s\")")]
#[schemars(rename = "StorageLost")]
pub(crate) struct StorageLostFile {
    /// Which, or several.
    pub(crate) storage: At<String>,
    /// For how long.
    pub(crate) lasts: Span,
}

/// What breaks by chance, each host, link and storage by itself.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "rates in brackets, such as (host_dies: \"1 per 30 days\", link_flaps: (rate: \"2 per day\", lasts: \"5 s\"))"
)]
#[schemars(rename = "RandomFaults")]
pub(crate) struct RandomFaultsFile {
    /// How often a host dies, for good.
    pub(crate) host_dies: Option<At<Often>>,
    /// How often a link goes down, and for how long.
    pub(crate) link_flaps: Option<RecurringFile>,
    /// How often a host cannot authenticate, and for how long.
    pub(crate) authentication_fails: Option<RecurringFile>,
    /// How often storage is out of reach, and for how long.
    pub(crate) storage_lost: Option<RecurringFile>,
}

/// Something that breaks again and again; both times are exponentially distributed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a rate and a time, such as (rate: \"2 per day\", lasts: \"5 s\")")]
#[schemars(rename = "Recurring")]
pub(crate) struct RecurringFile {
    /// How often.
    pub(crate) rate: At<Often>,
    /// For how long, on average.
    pub(crate) lasts: At<Span>,
}

/// How often something happens: the mean time between two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Often(pub(crate) Span);

/// Words for units of time, beside those of every span.
const WORDS: [(&str, &str, u64); 5] = [
    ("day", "days", 86_400),
    ("hour", "hours", 3600),
    ("minute", "minutes", 60),
    ("week", "weeks", 7 * 86_400),
    ("year", "years", 365 * 86_400),
];

impl FromStr for Often {
    type Err = String;

    fn from_str(text: &str) -> Result<Often, String> {
        let wrong = || {
            format!("`{text}` says not how often; write how many times in which time, like \"1 per 30 days\"")
        };
        let (times, span) = text.trim().split_once(" per ").ok_or_else(wrong)?;
        let times: f64 = times.trim().parse().map_err(|_| wrong())?;
        let span = span_of(span.trim()).ok_or_else(wrong)?;
        let mean = span.as_secs_f64() / times;
        let longest = Span::from_nanos(u64::MAX).as_secs_f64();
        if times > 0.0 && mean.is_finite() && mean > 0.0 && mean < longest {
            return Ok(Often(Span::from_secs_f64(mean)));
        }
        Err(wrong())
    }
}

fn span_of(text: &str) -> Option<Span> {
    if let Ok(span) = text.parse() {
        return Some(span);
    }
    let (number, word) = text.rsplit_once(' ').unwrap_or(("1", text));
    let (_, _, seconds) = WORDS.iter().find(|(one, many, _)| word == *one || word == *many)?;
    let number: f64 = number.trim().parse().ok()?;
    Some(Span::from_secs_f64(number * *seconds as f64)).filter(|_| number > 0.0 && number < 1e6)
}

impl<'de> Deserialize<'de> for Often {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Often, D::Error> {
        struct FromText;
        impl Visitor<'_> for FromText {
            type Value = Often;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("how often, such as \"1 per 30 days\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Often, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(FromText)
    }
}

impl JsonSchema for Often {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Often".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "how often: how many times in which time",
            "examples": ["1 per 30 days", "2 per day"],
        })
    }
}
