//! A core for discrete-event simulation: time, events, shared resources, randomness.
//!
//! Nothing here knows what is simulated. Whoever builds a simulator on this crate keeps the loop,
//! and takes from here:
//!
//! ```text
//!           ┌──────────────┐  next event      ┌────────────────────────┐
//!           │ EventQueue   │────────────────▶ │ the simulator's loop:  │
//!           │ what is due  │◀──────────────── │ whichever comes first, │
//!           └──────────────┘  schedule, move  │ the next event or the  │
//!           ┌──────────────┐  next completion │ next completion        │
//!           │ Fluid        │────────────────▶ │                        │
//!           │ who shares   │◀──────────────── │                        │
//!           │ what, at     │  start, cancel   └────────────────────────┘
//!           │ which rate   │                       │ draws from
//!           └──────────────┘                       ▼
//!             Meter: use over time          Streams: named generators
//!
//!             replicate: many runs on all processors, same result on any number
//! ```
//!
//! - **Time** is in whole nanoseconds ([`SimTime`], [`Span`]); amounts and rates have types too
//!   ([`Bytes`], [`Pages`], [`Bandwidth`] in bits, [`ByteRate`] in bytes) that read and print as people
//!   write them: `"8 GiB"`, `"10 Gbit/s"`, `"300 ms"`.
//! - **Events** are values of the simulator's own type, ordered by time, then first come first served
//!   ([`EventQueue`]); they can be cancelled and moved.
//! - **Sharing**: an activity uses several resources at once, each with a coefficient; rates are
//!   weighted max-min fair ([`Fluid`]). A file over a network, a computation on a few cores, a copy
//!   between disks, or all of these in one are the same thing with other coefficients.
//! - **Randomness** comes in named streams ([`Streams`]), one for each purpose and entity.
//!   [`draw`] makes of them what models need: exponential, normal and binomial numbers.
//! - **Determinism**: the same calls give the same results, bit for bit; [`replicate`] keeps that on
//!   any number of threads, and [`math`] on any platform.
//!
//! The loop stays with the simulator on purpose: a framework would have to know what the events are.
//!
//! # A first run
//!
//! Two files are fetched from one server. The second is asked for a second after the first, and
//! both share the server's link while they last; each client has a line of its own.
//!
//! ```
//! use sim_core::{Bandwidth, Bytes, Demand, EventQueue, Fluid, SimTime, Span};
//!
//! #[derive(Debug)]
//! enum Event { Ask { client: usize, size: Bytes } }
//!
//! let mut queue = EventQueue::new();
//! let at = |seconds| SimTime::ZERO + Span::from_secs(seconds);
//! queue.schedule(at(0), Event::Ask { client: 0, size: "1 GB".parse()? });
//! queue.schedule(at(1), Event::Ask { client: 1, size: "500 MB".parse()? });
//!
//! let mut fluid = Fluid::new();
//! let speed = |text: &str| text.parse().map(Bandwidth::bytes_per_sec_f64);
//! let server = fluid.add_resource(speed("4 Gbit/s")?);
//! let lines = [fluid.add_resource(speed("10 Gbit/s")?), fluid.add_resource(speed("1 Gbit/s")?)];
//!
//! let mut fetched = Vec::new();
//! let mut owners = std::collections::HashMap::new();
//! while let Some(now) = [queue.next_time(), fluid.next_time()].into_iter().flatten().min() {
//!     while let Some(activity) = fluid.pop_due(now) {
//!         fetched.push((owners[&activity], now));
//!     }
//!     while queue.next_time() == Some(now) {
//!         let Some((_, Event::Ask { client, size })) = queue.pop() else { break };
//!         let uses = [(server, 1.0), (lines[client], 1.0)];
//!         let demand = Demand { uses: &uses, weight: 1.0, cap: f64::INFINITY };
//!         owners.insert(fluid.start(now, size.as_f64(), &demand), client);
//!     }
//! }
//! // Client 0 has 500 MB/s for a second, then what client 1 leaves of the server: 375 MB/s.
//! assert_eq!(fetched, [(0, SimTime::from_nanos(2_333_333_334)), (1, at(5))]);
//! # Ok::<(), sim_core::QuantityError>(())
//! ```

pub mod draw;
mod fluid;
mod heap;
pub mod math;
mod meter;
mod quantiles;
mod quantity;
mod queue;
mod random;
mod replicate;
mod time;
mod units;

pub use fluid::{ActivityId, Demand, Fluid, HeldBy, ResourceId};
pub use meter::{MAX_INTERVALS, Meter};
pub use quantiles::Quantiles;
pub use quantity::QuantityError;
pub use queue::{EventKey, EventQueue};
pub use random::Streams;
pub use replicate::replicate;
pub use time::{SimTime, Span};
pub use units::{Bandwidth, ByteRate, Bytes, PAGE_SIZE, Pages};
