//! Images of our own making and of qemu-img's, sound and damaged, against plain bytes.

mod chains;
mod damage;
mod model;
mod qemu;
pub mod support;
