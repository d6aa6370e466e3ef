//! Remote control: what debuggers and management tools see and do, with gdb itself where it is installed.

mod gdb;
mod guests;
mod host;
mod protocol;
