//! Faults by chance: one random stream for each host, link and storage location, so that a further guest
//! or host shifts no other's luck.

use std::collections::HashMap;

use algorithms::ids::{HostId, StorageId};
use rand_pcg::Pcg64;
use sim_core::{Span, Streams};

use crate::cluster::ClusterModel;
use crate::faults::{Fault, Recurring};
use crate::world::background::exponential;

/// Something that can break by chance.
pub(super) struct Chance {
    /// What then; how long it lasts is drawn.
    pub(super) fault: Fault,
    every: Span,
    lasts: Span,
    random: Pcg64,
}

impl Chance {
    /// Time until it breaks next.
    pub(super) fn next(&mut self) -> Span {
        exponential(self.every, &mut self.random)
    }

    /// How long it is broken this time.
    pub(super) fn duration(&mut self) -> Span {
        exponential(self.lasts, &mut self.random)
    }
}

/// Everything that can break by chance.
pub(super) fn all(model: &ClusterModel, streams: &Streams) -> Vec<Chance> {
    let faults = &model.faults.random;
    let (mut all, lasts) = (Vec::new(), Span::ZERO);
    let mut add = |purpose: &str, name: &str, fault, often: Option<Recurring>| {
        if let Some(Recurring { every, lasts }) = often {
            all.push(Chance { fault, every, lasts, random: streams.stream(purpose, name) });
        }
    };
    for (host, each) in (0..).map(HostId).zip(&model.hosts) {
        let once = faults.host_dies.map(|every| Recurring { every, lasts });
        add("host dies", &each.name, Fault::HostDies(host), once);
        let fault = Fault::AuthenticationFails { host, lasts };
        add("authentication fails", &each.name, fault, faults.authentication_fails);
    }
    // Links of the same two ends have the same name: they are told apart by their numbers.
    let mut alike: HashMap<&str, u32> = HashMap::new();
    for (index, (_, _, link)) in model.network.links().enumerate() {
        let number = alike.entry(&link.name).or_default();
        *number += 1;
        let fault = Fault::LinkDown { links: vec![index], lasts };
        add("link flaps", &format!("{} {number}", link.name), fault, faults.link_flaps);
    }
    for (storage, each) in (0..).map(StorageId).zip(&model.storage) {
        add("storage lost", &each.name, Fault::StorageLost { storage, lasts }, faults.storage_lost);
    }
    all
}
