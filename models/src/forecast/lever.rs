//! What an operator can do while a migration goes on.

use std::fmt;

use algorithms::controller::MigrationOrder;
use algorithms::policy::{AutoConverge, Policy, PostCopyStart, Slowing};
use serde::{Serialize, Serializer};
use sim_core::Span;

/// Something that can be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Lever {
    /// Leave it alone.
    Nothing,
    /// Have the network carry twice as much: another link, other migrations held back.
    TwiceTheRate,
    /// Have the guest run at half its speed.
    HalfTheSpeed,
    /// Pause the guest at the end of this round.
    PauseNow,
    /// Other rules from now on.
    Rules {
        /// What is other about them.
        what: &'static str,
        /// The rules.
        policy: Box<Policy>,
    },
}

impl fmt::Display for Lever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lever::Nothing => "leave it alone",
            Lever::TwiceTheRate => "twice the rate",
            Lever::HalfTheSpeed => "guest at half its speed",
            Lever::PauseNow => "pause after this round",
            Lever::Rules { what, .. } => what,
        })
    }
}

impl Serialize for Lever {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Every lever that a migration of `order` has.
pub(super) fn levers(order: &MigrationOrder) -> Vec<Lever> {
    let mut levers = vec![Lever::Nothing, Lever::TwiceTheRate, Lever::HalfTheSpeed, Lever::PauseNow];
    match &order.policy {
        Policy::Qemu(rules) => {
            let mut patient = rules.clone();
            patient.downtime_limit = rules.downtime_limit * 4;
            levers.push(changed("four times the downtime limit", Policy::Qemu(patient)));
            if rules.max_bandwidth.is_some() {
                let unlimited = algorithms::policy::Qemu { max_bandwidth: None, ..rules.clone() };
                levers.push(changed("no rate limit, if the network has more", Policy::Qemu(unlimited)));
            }
            if rules.slowing == Slowing::Off {
                let slowing = Slowing::AutoConverge(AutoConverge::default());
                let converging = algorithms::policy::Qemu { slowing, ..rules.clone() };
                levers.push(changed("auto-converge", Policy::Qemu(converging)));
            }
            if rules.post_copy == PostCopyStart::Never {
                let post_copy = PostCopyStart::AfterPasses(0);
                let switching = algorithms::policy::Qemu { post_copy, ..rules.clone() };
                levers.push(changed(POST_COPY, Policy::Qemu(switching)));
            }
        }
        Policy::HyperV(rules) => {
            let more = algorithms::policy::HyperV { max_passes: rules.max_passes * 2, ..rules.clone() };
            levers.push(changed("twice as many passes", Policy::HyperV(more)));
        }
        _ => {}
    }
    levers
}

/// Every lever that a migration of `order` has where the loop is the hypervisor's own, which looks at its
/// rules many times a second.
pub(super) fn of_hypervisor(order: &MigrationOrder) -> Vec<Lever> {
    let mut levers = levers(order);
    levers
        .retain(|lever| *lever != Lever::PauseNow && !matches!(lever, Lever::Rules { what: POST_COPY, .. }));
    if let Policy::Qemu(rules) = &order.policy {
        let tolerant = algorithms::policy::Qemu { downtime_limit: LONGEST_DOWNTIME, ..rules.clone() };
        levers.push(changed("any pause is tolerated", Policy::Qemu(tolerant)));
        let post_copy = PostCopyStart::After(Span::ZERO);
        let switching = algorithms::policy::Qemu { post_copy, ..rules.clone() };
        levers.push(changed("post-copy now", Policy::Qemu(switching)));
    }
    levers
}

/// `MAX_MIGRATE_DOWNTIME` of QEMU's `migration/migration.c`.
const LONGEST_DOWNTIME: Span = Span::from_secs(2_000);

const POST_COPY: &str = "post-copy after this pass";

fn changed(what: &'static str, policy: Policy) -> Lever {
    Lever::Rules { what, policy: Box::new(policy) }
}
