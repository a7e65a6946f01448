//! Why a guest goes nowhere, in words.

use crate::preflight::Refusal;

/// Why a guest goes nowhere.
pub(in super::super) struct NoPlace {
    /// For the record.
    pub(in super::super) reason: String,
    /// The prerequisite that is not met, where that is why.
    pub(in super::super) refusal: Option<Box<Refusal>>,
}

impl From<String> for NoPlace {
    fn from(reason: String) -> NoPlace {
        NoPlace { reason, refusal: None }
    }
}

impl From<&str> for NoPlace {
    fn from(reason: &str) -> NoPlace {
        reason.to_string().into()
    }
}

impl From<Refusal> for NoPlace {
    fn from(refusal: Refusal) -> NoPlace {
        NoPlace { reason: refusal.message.clone(), refusal: Some(Box::new(refusal)) }
    }
}

/// So many hosts are named, with why they refuse, where none is left.
const REFUSALS_TOLD: usize = 3;

/// Every host that has room refuses: the reasons, each once; the first stands for all.
pub(super) fn all_refuse(mut refusals: Vec<Refusal>) -> Option<NoPlace> {
    let reason = format!("no host can take it: {}", reasons(&refusals));
    let first = (!refusals.is_empty()).then(|| refusals.remove(0))?;
    Some(NoPlace { reason, refusal: Some(Box::new(first)) })
}

/// The same of hosts that would take the guest, and not its disks; one reason is told as it is.
pub(super) fn no_host_for_disks(refusals: Vec<Refusal>) -> NoPlace {
    match refusals.iter().find(|refusal| refusal.message != refusals[0].message) {
        None => refusals.into_iter().next().map_or_else(|| "no host suits its disks".into(), NoPlace::from),
        Some(_) => {
            let reason = format!("no host can take its disks: {}", reasons(&refusals));
            NoPlace { reason, refusal: refusals.into_iter().next().map(Box::new) }
        }
    }
}

fn reasons(refusals: &[Refusal]) -> String {
    let mut messages: Vec<&str> = Vec::new();
    for refusal in refusals {
        if !messages.contains(&&*refusal.message) {
            messages.push(&refusal.message);
        }
    }
    let more = messages.len().saturating_sub(REFUSALS_TOLD);
    messages.truncate(REFUSALS_TOLD);
    let more = if more > 0 { format!("; and {more} more reasons") } else { String::new() };
    messages.join("; ") + &more
}
