//! Boot tests: whole machines from the reset vector on, without a display, in virtual time.
//!
//! Guests are looked for in the directory that IDEM86_GUESTS names, else in `../shared/guests` beside the workspace.
//! A test whose guest is not there says so and passes.

mod support;

mod freedos;
mod nothing;
