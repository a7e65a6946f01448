//! Any input at all, sensible or not.

use algorithms::controller::Input;
use algorithms::failures::{Breakage, Side};
use algorithms::hypervisor_loop::LoopInput;
use algorithms::ids::{HostId, MigrationId, StorageId};
use algorithms::operation;
use algorithms::orchestrator::{self, Incident};
use algorithms::page_loop::PageInput;
use algorithms::policy::{
    AutoConverge, DirtyLimit, HyperV, Policy, PostCopyStart, Qemu, SimGrid, Slowing, VMotion, Xen,
};
use algorithms::preflight::facts::{HostSettings, MigrationService};
use algorithms::quick_migration::QuickInput;
use algorithms::records::{ImpactRecord, Outcome, Whereabouts};
use algorithms::storage_mirror::MirrorInput;
use proptest::prelude::*;
use sim_core::{Bandwidth, ByteRate, Bytes, SimTime, Span};

/// A number with its extremes.
fn number() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![Just(0), Just(1), Just(4096), Just(u64::MAX), 0..(2_u64 << 30), any::<u64>()]
}

pub fn bytes() -> impl Strategy<Value = Bytes> + Clone {
    number().prop_map(Bytes::new)
}

fn span() -> impl Strategy<Value = Span> + Clone {
    number().prop_map(Span::from_nanos)
}

/// A time that never decreases, before never.
pub fn later(now: SimTime, step: u64) -> SimTime {
    (now + Span::from_nanos(step)).min(SimTime::from_nanos(u64::MAX - 1))
}

/// Nanoseconds until the next input: mostly seconds, now and then centuries.
fn step() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0), 8 => 0..20_000_000_000_u64, 1 => 0..(u64::MAX / 8)]
}

pub fn steps<I: std::fmt::Debug>(input: impl Strategy<Value = I>) -> impl Strategy<Value = Vec<(u64, I)>> {
    prop::collection::vec((step(), input), 0..40)
}

pub fn policy() -> impl Strategy<Value = Policy> + Clone {
    let percent = || prop_oneof![0..150_u32, Just(u32::MAX)];
    let slowing = prop_oneof![
        Just(Slowing::Off),
        (percent(), percent(), percent(), percent()).prop_map(|(trigger, initial, increment, max)| {
            Slowing::AutoConverge(AutoConverge {
                trigger_percent: trigger,
                initial_percent: initial,
                increment_percent: increment,
                max_percent: max,
            })
        }),
        number()
            .prop_map(|rate| Slowing::DirtyLimit(DirtyLimit { rate: ByteRate::from_bytes_per_sec(rate) })),
    ];
    let post_copy = prop_oneof![
        Just(PostCopyStart::Never),
        (0..4_u32).prop_map(PostCopyStart::AfterPasses),
        span().prop_map(PostCopyStart::After),
    ];
    let rate = prop::option::of((1_u64 << 20..u64::MAX).prop_map(Bandwidth::from_bits_per_sec));
    let qemu = (slowing, post_copy, rate, span()).prop_map(|(slowing, post_copy, max_bandwidth, limit)| {
        Policy::Qemu(Qemu { slowing, post_copy, max_bandwidth, downtime_limit: limit, ..Qemu::v10() })
    });
    let hyper_v = (0..20_u32, bytes())
        .prop_map(|(max_passes, stop_below)| Policy::HyperV(HyperV { max_passes, stop_below }));
    prop_oneof![
        hyper_v,
        qemu,
        Just(Policy::Xen(Xen::default())),
        Just(Policy::Xen(Xen::clark())),
        Just(Policy::SimGrid(SimGrid::default())),
        Just(Policy::VMotion(VMotion::default())),
    ]
    .boxed()
}

pub fn page() -> impl Strategy<Value = PageInput> + Clone {
    prop_oneof![
        1 => Just(PageInput::Begin),
        3 => Just(PageInput::RoundSent),
        1 => (bytes(), bytes()).prop_map(|(memory, transferred)| PageInput::Sent { memory, transferred }),
        3 => bytes().prop_map(|dirty| PageInput::Counted { dirty }),
        1 => Just(PageInput::Paused),
        1 => Just(PageInput::Resumed),
        1 => Just(PageInput::ForcePause),
    ]
    .boxed()
}

pub fn of_hypervisor() -> impl Strategy<Value = LoopInput> + Clone {
    prop_oneof![
        1 => Just(LoopInput::Begin),
        3 => (bytes(), bytes(), any::<u32>())
            .prop_map(|(sent, dirty, throttle_percent)| LoopInput::Pass { sent, dirty, throttle_percent }),
        1 => Just(LoopInput::Stopped),
        1 => Just(LoopInput::AtSwitchover),
        1 => bytes().prop_map(|sent| LoopInput::PostCopy { sent }),
        1 => bytes().prop_map(|sent| LoopInput::Sent { sent }),
        1 => Just(LoopInput::Resumed),
        1 => Just(LoopInput::ForcePause),
        1 => Just(LoopInput::Tick),
    ]
    .boxed()
}

pub fn mirror() -> impl Strategy<Value = MirrorInput> + Clone {
    prop_oneof![
        1 => Just(MirrorInput::Begin),
        3 => Just(MirrorInput::Copied),
        1 => Just(MirrorInput::SwitchedOver),
    ]
}

pub fn quick() -> impl Strategy<Value = QuickInput> {
    let cancel = Just(QuickInput::Cancel { reason: "x".into() });
    prop_oneof![
        Just(QuickInput::Begin),
        Just(QuickInput::Offline),
        Just(QuickInput::Online),
        Just(QuickInput::Undone),
        cancel
    ]
}

pub fn whereabouts() -> impl Strategy<Value = Whereabouts> + Clone {
    prop_oneof![
        Just(Whereabouts::AtSource),
        Just(Whereabouts::AtDestination),
        Just(Whereabouts::Off),
        Just(Whereabouts::InDoubt)
    ]
}

fn impact() -> ImpactRecord {
    ImpactRecord { slow_down: 0.5, throttle_max_percent: u32::MAX, lost: Span::MAX, post_copy: None }
}

/// Anything that a controller can be told; what only ends it is rare, so that long ways are found.
pub fn of_controller() -> impl Strategy<Value = Input> + Clone {
    let side = || prop_oneof![Just(Side::Source), Just(Side::Destination)];
    let breakage =
        prop_oneof![Just(Breakage::Connection), Just(Breakage::Memory), Just(Breakage::Authentication),];
    prop_oneof![
        2 => Just(Input::Begin),
        4 => Just(Input::Prepared),
        16 => page().prop_map(Input::Page),
        16 => of_hypervisor().prop_map(Input::Loop),
        8 => mirror().prop_map(Input::Storage),
        1 => bytes().prop_map(|written| Input::MirrorEnded { written }),
        2 => Just(Input::Ready),
        1 => Just(Input::Impact(impact())),
        1 => Just(Input::Finished),
        1 => (bytes(), whereabouts()).prop_map(|(sent, whereabouts)| Input::Aborted { sent, whereabouts }),
        4 => Just(Input::Tick),
        1 => Just(Input::Cancel { reason: "x".into() }),
        2 => policy().prop_map(|policy| Input::Adjust { policy: Box::new(policy) }),
        1 => Just(Input::Failed { reason: "y".into() }),
        1 => breakage.prop_map(Input::Broke),
        1 => side().prop_map(Input::HostDied),
        1 => span().prop_map(|limit| Input::Silent { limit }),
        2 => Just(Input::Heard),
    ]
    .boxed()
}

pub fn outcome() -> impl Strategy<Value = Outcome> + Clone {
    prop_oneof![
        4 => Just(Outcome::Completed),
        1 => Just(Outcome::Cancelled),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::Lost),
        1 => Just(Outcome::NotStarted),
    ]
}

/// A small number, or one of which there is none.
fn id() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![8 => 0..8_u32, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

pub fn of_orchestrator() -> impl Strategy<Value = orchestrator::Input> {
    use orchestrator::Input as Told;
    let incident = prop_oneof![
        id().prop_map(|host| Incident::HostDied(HostId(host))),
        (id(), bytes()).prop_map(|(host, memory)| Incident::MemoryTaken(HostId(host), memory)),
        id().prop_map(|location| Incident::StorageFilled(StorageId(location))),
        id().prop_map(|location| Incident::StorageLost(StorageId(location))),
        id().prop_map(|location| Incident::StorageBack(StorageId(location))),
    ];
    let off = HostSettings { migration: MigrationService::Disabled, ..HostSettings::default() };
    let settings = prop_oneof![Just(HostSettings::default()), Just(off)];
    prop_oneof![
        4 => Just(Told::Begin),
        8 => Just(Told::Tick),
        1 => Just(Told::Stop),
        2 => incident.prop_map(Told::Befell),
        2 => (id(), settings)
            .prop_map(|(host, settings)| Told::HostChanged { host: HostId(host), settings: Box::new(settings) }),
        24 => (id(), outcome())
            .prop_map(|(migration, outcome)| Told::Ended { migration: MigrationId(migration), outcome }),
    ]
}

pub fn of_operation() -> impl Strategy<Value = operation::Input> {
    use operation::Input as Told;
    let reason = || "z".to_string();
    prop_oneof![
        4 => Just(Told::Begin),
        6 => Just(Told::Tick),
        16 => (id(), outcome()).prop_map(move |(migration, outcome)| Told::Ended {
            migration: MigrationId(migration),
            outcome,
            reason: reason()
        }),
        1 => id().prop_map(move |migration| Told::InDoubt {
            migration: MigrationId(migration),
            reason: reason()
        }),
        4 => any::<bool>().prop_map(|yes| Told::Answered { yes }),
        1 => Just(Told::Interrupted),
    ]
}
