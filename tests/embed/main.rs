//! The embedding interface, as a program that embeds a machine uses it. Guests are boot sectors assembled here.

mod build;
mod devices;
mod hooks;
mod replay;
mod run;
mod support;
