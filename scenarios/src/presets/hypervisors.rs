//! Hypervisors by name: their rules, and what their steps cost.

use algorithms::policy::{Doubling, HyperV, Policy, Qemu, SimGrid, VMotion, Xen};
use models::cluster::{Hypervisor, Timing};
use sim_core::Span;

use super::Entry;

pub(super) static HYPERVISORS: &[Entry<fn() -> Hypervisor>] = &[
    Entry {
        name: "hyper-v-2022",
        summary: "Hyper-V: at most 10 passes, then the pause; some 4.5 s of fixed costs",
        source: "passes: Directions on Microsoft, 2009; timing: fitted to aidanfinn.com ?p=12228 (10 GbE, \
                 1 and 10 VMs); its split between the steps, and the 16 MiB at which passes stop: assumptions",
        make: hyper_v_2022,
    },
    Entry {
        name: "qemu-7.2",
        summary: "QEMU's defaults: 300 ms downtime limit, 128 MiB/s at most",
        source: "rules: QEMU 7.2, migration/migration.c and ram.c; timing: assumption",
        make: || qemu("qemu-7.2", Qemu::default()),
    },
    Entry {
        name: "qemu-10",
        summary: "QEMU 10: as 7.2; with AutoConverge, a sync every 5 s",
        source: "rules: QEMU 10.0, migration/migration.c, ram.c, cpu-throttle.c; timing: assumption",
        make: || qemu("qemu-10", Qemu::v10()),
    },
    Entry {
        name: "proxmox-ve",
        summary: "QEMU under Proxmox VE: 100 ms, doubled until it converges; no limit on bandwidth",
        source: "qemu-server, PVE/QemuMigrate.pm; timing: assumption",
        make: || qemu("proxmox-ve", proxmox_ve()),
    },
    Entry {
        name: "vmotion",
        summary: "vMotion-like: until the rest fits in 500 ms; too fast a guest is slowed down (SDPS)",
        source: "VMware, vMotion Architecture in vSphere 5 (from memory); yellow-bricks.com on SDPS; how \
                 far it slows down, and timing: assumptions",
        make: vmotion,
    },
    Entry {
        name: "xen",
        summary: "Xen: stops below 50 pages, after 29 rounds or 3 x the memory; at full speed",
        source: "rules: Akoush et al., MASCOTS 2010; timing: assumption",
        make: || xen("xen", Xen::default()),
    },
    Entry {
        name: "xen-clark",
        summary: "Xen of 2005: 100 Mbit/s, raised to the dirty rate + 50 where that is more, up to 500",
        source: "rules: tools/libxc/xc_linux_save.c, and Clark et al., NSDI 2005, section 5.3; 9 ms to start the \
                 guest: their section 6.3 (from memory); further timing: assumption",
        make: xen_clark,
    },
    Entry {
        name: "simgrid",
        summary: "SimGrid's live migration plug-in: until the rest fits in 30 ms; steps cost nothing",
        source: "SimGrid 3.32, src/plugins/vm/VmLiveMigration.cpp",
        make: simgrid,
    },
];

/// Finn's 512 MB guests took 5 s for one and 13 s for ten at once on 10 GbE: 0.89 s for each
/// further one, twice what the wire explains, so that they are taken to be prepared one at a time.
/// The rest of the 5 s, less 0.46 s on the wire, is fixed.
fn hyper_v_2022() -> Hypervisor {
    Hypervisor {
        name: "hyper-v-2022".into(),
        policy: Policy::HyperV(HyperV::default()),
        timing: Timing {
            prepare: Span::from_millis(2_500),
            prepare_serial: Span::from_millis(890),
            pause: Span::from_millis(50),
            resume: Span::from_millis(400),
            finish: Span::from_millis(1_550),
        },
        deadline: None,
    }
}

/// Assumption: connecting and setting up takes a tenth of a second, device state some milliseconds.
fn qemu(name: &str, rules: Qemu) -> Hypervisor {
    Hypervisor {
        name: name.into(),
        policy: Policy::Qemu(rules),
        timing: Timing {
            prepare: Span::from_millis(100),
            prepare_serial: Span::ZERO,
            pause: Span::from_millis(1),
            resume: Span::from_millis(20),
            finish: Span::from_millis(10),
        },
        deadline: None,
    }
}

fn proxmox_ve() -> Qemu {
    Qemu {
        downtime_limit: Span::from_millis(100),
        max_bandwidth: None,
        doubling: Some(Doubling),
        ..Qemu::default()
    }
}

/// Assumption: as QEMU, with the second or two that creating the guest at the destination takes.
fn vmotion() -> Hypervisor {
    let qemu = qemu("vmotion", Qemu::default());
    let timing = Timing { prepare: Span::from_millis(1_500), ..qemu.timing };
    Hypervisor { policy: Policy::VMotion(VMotion::default()), timing, ..qemu }
}

/// Assumption: since Clark et al. saw pauses down to 60 ms, device state takes less than that.
fn xen(name: &str, rules: Xen) -> Hypervisor {
    Hypervisor {
        name: name.into(),
        policy: Policy::Xen(rules),
        timing: Timing {
            prepare: Span::from_millis(500),
            prepare_serial: Span::ZERO,
            pause: Span::from_millis(5),
            resume: Span::from_millis(30),
            finish: Span::from_millis(200),
        },
        deadline: None,
    }
}

/// Clark et al. found 9 ms from the last byte until the guest ran.
fn xen_clark() -> Hypervisor {
    let xen = xen("xen-clark", Xen::clark());
    Hypervisor { timing: Timing { resume: Span::from_millis(9), ..xen.timing }, ..xen }
}

fn simgrid() -> Hypervisor {
    Hypervisor {
        name: "simgrid".into(),
        policy: Policy::SimGrid(SimGrid::default()),
        timing: Timing::default(),
        deadline: None,
    }
}
