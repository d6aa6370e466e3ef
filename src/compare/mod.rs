//! Comparing engines: nanobenchmarks and workloads on several of them in turn, with proof that all did the same work.
//!
//! ```no_run
//! use idem86::compare::{nano::NANOS, measure::{Plan, measure}, report};
//! let plan = Plan { nanos: NANOS.iter().collect(), ..Plan::default() };
//! let table = measure(&plan, &mut |_| ());
//! print!("{}", report::text(&table));
//! ```

pub mod contender;
pub mod measure;
pub mod nano;
pub mod report;
pub mod runner;
pub mod systems;
pub mod table;
pub mod workload;
