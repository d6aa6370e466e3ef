//! What the host's processor can do. Tests may hide some of it.

/// The variable that names, separated by commas, what this program is to do without: `bmi2`.
pub const WITHOUT: &str = "IDEM86_HOST_WITHOUT";

/// BMI2: PEXT, PDEP, SHRX, RORX.
pub fn has_bmi2() -> bool {
    let hidden = std::env::var(WITHOUT).is_ok_and(|names| names.split(',').any(|name| name == "bmi2"));
    !hidden && std::arch::is_x86_feature_detected!("bmi2")
}
