//! Which of two machines has the VM when a migration did not end as it should, and what makes exactly that one run it.
//!
//! ```text
//!  query-status, query-migrate ─▶ Condition of each ─▶ known ─▶ handover::resolve ─▶ one step ─▶ look again
//! ```
//!
//! The rule is [`resolve`], the same as for our agents. Here stand what QEMU shows of a machine in its terms, and the
//! steps in QEMU's. A driver that gives up and a recovery of a killed driver both end a migration by [`Machines::settle`].
//!
//! | source | destination | handed over | |
//! |---|---|---|---|
//! | runs | anything but runs | – | the source keeps the VM; the destination ends first |
//! | does not run | runs | – | the destination keeps it; the source ends |
//! | does not run | anything else | no | the source gets it back; the destination ends first |
//! | does not run | has all | yes | the destination gets it; the source ends |
//! | does not run | pulls memory in post-copy | – | the destination goes on; the source ends when it has given all |
//! | does not run | lacks something, or gone | yes | in doubt: it may have run there; an operator must say |
//! | gone | has all | – | the destination gets it |
//! | gone | lacks something, or gone | – | the VM is lost with its host, as without a migration |
//! | runs | runs | no / yes | the destination / the source is stopped, and ends |
//!
//! Handed over is a migration whose destination was told to start the VM, or to keep it paused; and any in post-copy,
//! from which there is no way back.
//!
//! The order matters. A destination may have been told `cont` by somebody, and then runs the VM by itself when all has
//! arrived. So before the source goes on, the destination is told `stop`, which takes such a `cont` back, and `quit`;
//! and only when it has ended is the source's migration cancelled. A destination that has run the VM meanwhile keeps it.
//!
//! A VM that somebody has paused stays paused: QEMU itself restores its pause at the source.

use std::fmt;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use algorithms::handover::{DestinationPhase, Known, Resolution, SourcePhase, resolve};
use algorithms::records::Whereabouts;
use serde_json::json;

use super::QemuError;
use super::disks;
use super::qmp::{Notice, Qmp, Side};
use super::status::{self, MigrationStatus};

/// How long a source may take to let its VM go on by itself after its migration was given up, and a machine to run after
/// `cont`.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// How long a machine may take to end after `quit`.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How long the rest of a VM may take that was handed over, but for the memory that follows.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// How long a destination may take to pull what it lacks.
const PULLED_WITHIN: Duration = Duration::from_secs(60);

/// Each step changes one machine, and each machine is changed twice at most.
const MOST_STEPS: usize = 8;

/// What a machine is seen to be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It runs the VM.
    Running,
    /// It has all of the VM and does not run it.
    Standing,
    /// The VM is there, in post-copy: memory follows it.
    Pulling,
    /// It has not got all of the VM.
    Receiving,
    /// It does not answer.
    Silent,
    /// It is gone.
    Gone,
}

impl Condition {
    /// Returns what the machine that the VM comes from is at.
    pub fn of_source(machine: &mut Qmp) -> Condition {
        match machine.run_state().as_deref() {
            Ok("running") => Condition::Running,
            Ok("inmigrate") => Condition::Receiving,
            Ok(_) => Condition::Standing,
            Err(QemuError::Silent { .. }) => Condition::Silent,
            Err(_) => Condition::Gone,
        }
    }

    /// Returns what the machine that the VM goes to is at.
    pub fn of_destination(machine: &mut Qmp) -> Condition {
        match Condition::of_source(machine) {
            Condition::Running | Condition::Standing if is_in_post_copy(machine) => Condition::Pulling,
            other => other,
        }
    }
}

/// Whether the VM was told to start at the destination, or to stay paused there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// It was not.
    NotOrdered,
    /// It was.
    Ordered,
}

/// How others want the VM, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Running.
    Running,
    /// Somebody has paused it, and nobody has let it go on.
    Paused,
}

/// Who runs the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoRuns {
    /// The source.
    Source,
    /// The destination.
    Destination,
    /// Nobody: it is at the source, paused by somebody.
    SourcePaused,
    /// Nobody: it is at the destination, paused by somebody.
    DestinationPaused,
    /// Nobody; the source's copy is whole, but the destination may have run since.
    InDoubt,
    /// Nobody: it is lost with its host.
    Lost,
    /// Both, and neither can be stopped.
    Both,
}

impl WhoRuns {
    /// Returns where the VM is, for its record.
    pub fn whereabouts(self) -> Whereabouts {
        match self {
            WhoRuns::Source | WhoRuns::SourcePaused => Whereabouts::AtSource,
            WhoRuns::Destination | WhoRuns::DestinationPaused => Whereabouts::AtDestination,
            WhoRuns::InDoubt | WhoRuns::Both => Whereabouts::InDoubt,
            WhoRuns::Lost => Whereabouts::Off,
        }
    }
}

impl fmt::Display for WhoRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhoRuns::Source => "the guest runs at the source",
            WhoRuns::Destination => "the guest runs at the destination",
            WhoRuns::SourcePaused => {
                "the guest is at the source, paused as somebody left it: `cont` starts it"
            }
            WhoRuns::DestinationPaused => {
                "the guest is at the destination, paused as somebody left it: `cont` starts it"
            }
            WhoRuns::InDoubt => "nobody runs the guest; the source has a copy from before the hand-over",
            WhoRuns::Lost => "the guest is lost with its host",
            WhoRuns::Both => "both run the guest: stop one of them at once",
        })
    }
}

/// Returns what the conditions of two machines are in the terms of [`resolve`]. Nothing can be said of a source that does
/// not answer; a destination that does not is one that may still receive.
pub fn known(
    source: Condition,
    destination: Condition,
    hand_over: HandOver,
) -> (Known<SourcePhase>, Known<DestinationPhase>) {
    use Condition::{Gone, Pulling, Receiving, Running, Silent, Standing};
    let source = match (source, destination, hand_over) {
        (Running, _, _) => Known::At(SourcePhase::TakenBack),
        (Standing | Pulling, Running | Pulling, _) | (Standing | Pulling, _, HandOver::Ordered) => {
            Known::At(SourcePhase::Committed)
        }
        (Standing | Pulling, _, HandOver::NotOrdered) => Known::At(SourcePhase::TakenBack),
        // A source that has none of the VM is of no more use than none.
        (Receiving | Silent | Gone, _, _) => Known::Gone,
    };
    let destination = match destination {
        Running => Known::At(DestinationPhase::Running),
        Standing => Known::At(DestinationPhase::Prepared),
        Pulling => Known::At(DestinationPhase::PostCopying),
        Receiving | Silent => Known::At(DestinationPhase::Receiving),
        Gone => Known::Gone,
    };
    (source, destination)
}

/// The two machines of a migration that is to end, and what is known of it.
pub struct Machines<'a> {
    /// The machine that the VM comes from; `None` where it is gone.
    pub source: Option<&'a mut Qmp>,
    /// The machine that it goes to; `None` where it is gone, or there never was one.
    pub destination: Option<&'a mut Qmp>,
    /// What both say by themselves.
    pub notices: &'a Receiver<(Side, Notice)>,
    /// Whether it was handed over.
    pub hand_over: HandOver,
    /// How others want the VM.
    pub wish: Wish,
    /// Whether the destination was heard to run the VM, by whoever's order.
    pub ran: bool,
}

impl Machines<'_> {
    /// Has exactly one of the two have the VM, and run it unless somebody has paused it, where that can be known.
    pub fn settle(mut self) -> WhoRuns {
        if self.source.as_deref_mut().is_some_and(is_in_post_copy) {
            self.hand_over = HandOver::Ordered;
        }
        let mut last = Resolution::Nothing;
        for _ in 0..MOST_STEPS {
            let (here, there) = self.look();
            if here == Condition::Silent {
                return WhoRuns::InDoubt;
            }
            let (source, destination) = known(here, there, self.hand_over);
            last = resolve(source, destination);
            let ended = match last {
                Resolution::Nothing | Resolution::TakeBack => Some(self.go_on(here)),
                Resolution::Renounce => self.end_destination(),
                Resolution::Commit => self.start_destination(),
                Resolution::Release => self.end_source(),
                Resolution::Deliver => self.wait_for_memory(),
                Resolution::Both => self.stop_older(),
                // What nobody has of its memory QEMU cannot make anew.
                Resolution::Lost | Resolution::Anew => Some(WhoRuns::Lost),
                Resolution::InDoubt => Some(WhoRuns::InDoubt),
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
        if last == Resolution::Both { WhoRuns::Both } else { WhoRuns::InDoubt }
    }

    fn look(&mut self) -> (Condition, Condition) {
        let there = match (self.destination.as_deref_mut(), self.hand_over) {
            (None, _) => Condition::Gone,
            (Some(machine), HandOver::NotOrdered) => Condition::of_destination(machine),
            (Some(machine), HandOver::Ordered) => arrived(machine),
        };
        let here = self.source.as_deref_mut().map_or(Condition::Gone, Condition::of_source);
        // One that is to stay paused there is as well kept as one that runs.
        let kept = self.wish == Wish::Paused && self.hand_over == HandOver::Ordered;
        match there {
            Condition::Standing if kept && self.ran => (here, Condition::Running),
            there => (here, there),
        }
    }

    /// Nothing is left to do but to let the one go on that has the VM.
    fn go_on(&mut self, source: Condition) -> WhoRuns {
        if let (Condition::Running | Condition::Standing, Some(machine)) =
            (source, self.source.as_deref_mut())
        {
            return source_goes_on(machine, self.wish);
        }
        match self.destination.as_deref_mut().map_or(Condition::Gone, Condition::of_destination) {
            Condition::Running => WhoRuns::Destination,
            Condition::Standing | Condition::Pulling => WhoRuns::DestinationPaused,
            Condition::Silent => WhoRuns::InDoubt,
            Condition::Receiving | Condition::Gone => WhoRuns::Lost,
        }
    }

    /// The source keeps the VM: the destination ends, unless it turns out to have run the VM meanwhile.
    fn end_destination(&mut self) -> Option<WhoRuns> {
        let destination = self.destination.as_deref_mut()?;
        // To one that still receives this takes back somebody's `cont`. One that does not take it ends below.
        let _ = destination.execute("stop", json!({}));
        // What it said before it answered has been heard by now.
        self.ran |= self.notices.try_iter().any(|notice| is_resume(&notice));
        let source = self.source.as_deref_mut().map_or(Condition::Gone, Condition::of_source);
        if self.ran && source != Condition::Running {
            // It is the younger copy. When it runs again, it is the destination's.
            let _ = destination.execute("cont", json!({}));
            self.ran = false;
            return None;
        }
        let ended = quit(destination);
        self.destination = None;
        // A copy that cannot be ended may run as soon as the source lets go of it.
        (!ended && source != Condition::Running).then_some(WhoRuns::InDoubt)
    }

    /// The destination has all of the VM, which is its own from now on.
    fn start_destination(&mut self) -> Option<WhoRuns> {
        self.hand_over = HandOver::Ordered;
        let destination = self.destination.as_deref_mut()?;
        // There is one only where disks were mirrored.
        let _ = destination.execute("nbd-server-stop", json!({}));
        let command = if self.wish == Wish::Paused { "stop" } else { "cont" };
        // One that refuses is seen not to have done it.
        let _ = destination.execute(command, json!({}));
        if self.wish == Wish::Running {
            wait_until(SETTLES_WITHIN, || Condition::of_destination(destination) == Condition::Running);
        }
        self.ran = true;
        None
    }

    /// The destination has the VM: the source ends.
    fn end_source(&mut self) -> Option<WhoRuns> {
        if let Some(destination) = self.destination.as_deref_mut() {
            let _ = destination.execute("nbd-server-stop", json!({}));
        }
        if let Some(source) = self.source.take() {
            quit(source);
        }
        None
    }

    /// In post-copy: waits until the destination, which has the VM, has pulled what it lacks.
    fn wait_for_memory(&mut self) -> Option<WhoRuns> {
        self.hand_over = HandOver::Ordered;
        let (source, destination) = (self.source.as_deref_mut()?, self.destination.as_deref_mut()?);
        let _ = destination.execute("nbd-server-stop", json!({}));
        if self.wish == Wish::Running {
            let _ = destination.execute("cont", json!({}));
        }
        let until = Instant::now() + PULLED_WITHIN;
        while Instant::now() < until {
            match MigrationStatus::of(source) {
                Ok(status) if status.status == "postcopy-paused" => return Some(WhoRuns::InDoubt),
                Ok(status) if !status.is_over() => std::thread::sleep(Duration::from_millis(20)),
                // The destination notes the end a moment later. One that does not lacks what it never will get.
                _ => {
                    let has_all = wait_until(ARRIVES_WITHIN, || !is_in_post_copy(destination));
                    return (!has_all).then_some(WhoRuns::InDoubt);
                }
            }
        }
        // It goes on by itself; neither is ended.
        Some(match destination.run_state().as_deref() {
            Ok("running") => WhoRuns::Destination,
            Ok(_) => WhoRuns::DestinationPaused,
            Err(_) => WhoRuns::InDoubt,
        })
    }

    /// Both run: somebody has started one by hand. The one that does not have the VM by what was ordered stops.
    fn stop_older(&mut self) -> Option<WhoRuns> {
        let other = match self.hand_over {
            HandOver::NotOrdered => &mut self.destination,
            HandOver::Ordered => &mut self.source,
        };
        if let Some(machine) = other.as_deref_mut() {
            let _ = machine.execute("stop", json!({}));
        }
        None
    }
}

/// Gives up what a source sends, memory and disks, and lets it go on unless somebody has paused its VM.
fn source_goes_on(source: &mut Qmp, wish: Wish) -> WhoRuns {
    // Where it refuses, its state says what is to be done.
    let _ = status::cancel(source).map(drop);
    let _ = disks::tear(source);
    // Between the two it is in `finish-migrate`, and goes on by itself a moment later.
    let mut state = String::new();
    wait_until(SETTLES_WITHIN, || {
        state = source.run_state().unwrap_or_default();
        state != "finish-migrate"
    });
    let all_sent = MigrationStatus::of(source).is_ok_and(|status| status.status == "completed");
    if state == "postmigrate" && all_sent && wish == Wish::Running {
        let _ = source.execute("cont", json!({}));
        wait_until(SETTLES_WITHIN, || Condition::of_source(source) == Condition::Running);
    }
    match Condition::of_source(source) {
        Condition::Running => WhoRuns::Source,
        // QEMU does not let a VM go on that was paused before it stopped it, nor do we.
        Condition::Standing | Condition::Pulling => WhoRuns::SourcePaused,
        Condition::Silent => WhoRuns::InDoubt,
        Condition::Receiving | Condition::Gone => WhoRuns::Lost,
    }
}

/// Returns who runs a VM that has only one machine.
pub(super) fn alone(machine: &mut Qmp) -> WhoRuns {
    match Condition::of_source(machine) {
        Condition::Running => WhoRuns::Source,
        Condition::Standing | Condition::Pulling | Condition::Receiving => WhoRuns::SourcePaused,
        Condition::Silent => WhoRuns::InDoubt,
        Condition::Gone => WhoRuns::Lost,
    }
}

/// What a destination is at to which the VM was handed over: in post-copy it still takes in the VM's devices for
/// a moment after the source has said that it stands still.
fn arrived(destination: &mut Qmp) -> Condition {
    let mut found = Condition::Receiving;
    wait_until(ARRIVES_WITHIN, || {
        found = Condition::of_destination(destination);
        found != Condition::Receiving
    });
    found
}

/// Ends a machine; whether it was seen to end.
fn quit(machine: &mut Qmp) -> bool {
    let _ = machine.execute("quit", json!({}));
    wait_until(ENDS_WITHIN, || matches!(machine.run_state(), Err(QemuError::Gone { .. })))
}

fn is_in_post_copy(machine: &mut Qmp) -> bool {
    MigrationStatus::of(machine).is_ok_and(|status| status.status.starts_with("postcopy"))
}

fn is_resume((side, notice): &(Side, Notice)) -> bool {
    *side == Side::Destination && matches!(notice, Notice::Event(event) if event.name == "RESUME")
}

/// Looks until it is so, or for so long; whether it was so.
fn wait_until(for_so_long: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + for_so_long;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Condition; 4] =
        [Condition::Running, Condition::Standing, Condition::Receiving, Condition::Gone];

    fn resolved(source: Condition, destination: Condition, hand_over: HandOver) -> Resolution {
        let (source, destination) = known(source, destination, hand_over);
        resolve(source, destination)
    }

    /// The table that QEMU's driver had of its own before: by source, destination, and handed over or not.
    #[test]
    fn the_rule_of_our_agents_says_of_qemu_what_its_own_table_said() {
        use Condition::{Gone, Receiving, Running, Standing};
        use HandOver::{NotOrdered, Ordered};
        use Resolution::{Both, Commit, InDoubt, Lost, Nothing, Release, Renounce};
        for source in ALL {
            for destination in ALL {
                for hand_over in [NotOrdered, Ordered] {
                    let expected = match (source, destination, hand_over) {
                        (Running, Running, _) => Both,
                        (Running, Gone, _) => Nothing,
                        (Running, _, _) => Renounce,
                        (Gone | Receiving, Running, _) => Nothing,
                        (Standing, Running, _) => Release,
                        (Standing, Gone, NotOrdered) => Nothing,
                        (Standing, _, NotOrdered) => Renounce,
                        (_, Standing, _) => Commit,
                        (Standing, Receiving | Gone, Ordered) => InDoubt,
                        (Gone | Receiving, Receiving | Gone, _) => Lost,
                        other => unreachable!("{other:?}"),
                    };
                    let found = resolved(source, destination, hand_over);
                    assert_eq!(found, expected, "{source:?}, {destination:?}, {hand_over:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_starts_one_while_the_other_runs_or_may_have_run() {
        for source in ALL {
            for destination in ALL {
                for hand_over in [HandOver::NotOrdered, HandOver::Ordered] {
                    match resolved(source, destination, hand_over) {
                        Resolution::Commit => {
                            assert_eq!(destination, Condition::Standing, "it must have all of the VM");
                            assert_ne!(source, Condition::Running);
                        }
                        Resolution::Renounce | Resolution::Nothing if source == Condition::Standing => {
                            assert_ne!(destination, Condition::Running);
                            assert_eq!(hand_over, HandOver::NotOrdered);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    #[test]
    fn in_post_copy_the_destination_has_the_vm_and_a_lost_source_loses_it() {
        for hand_over in [HandOver::NotOrdered, HandOver::Ordered] {
            let of = |source| resolved(source, Condition::Pulling, hand_over);
            assert_eq!(of(Condition::Standing), Resolution::Deliver);
            assert_eq!(of(Condition::Gone), Resolution::Anew);
        }
    }
}
