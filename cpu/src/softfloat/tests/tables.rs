//! The manuals' tables of special operands: SDM Vol. 2A, "Results" tables of each instruction, and Vol. 1,
//! "Rules for Handling NaNs", "Unsupported Double Extended-Precision Floating-Point Encodings and Pseudo-Denormals".

use super::{f80, initialized};
use crate::softfloat::compare::{Quiet, compare};
use crate::softfloat::constants::{Constant, constant};
use crate::softfloat::elementary::{f2xm1, fcos, fpatan, fptan, fsin, fsincos, fyl2x, fyl2xp1};
use crate::softfloat::remainder::{Quotient, remainder};
use crate::softfloat::scale::{extract, scale};
use crate::softfloat::{Class, Env, F32, F64, F80, Flags, Operand, Rounding, arith, convert};

const INDEFINITE: F80 = F80 { sign_exponent: 0xffff, significand: 0xc000_0000_0000_0000 };

/// An operand by its name in the tables. `F` is 2.5, `f` (below one) 0.15625, both with a sign.
fn operand(name: &str) -> F80 {
    let magnitude = match &name[1..] {
        "inf" => f80(0x7fff, 1 << 63),
        "F" => f80(0x4000, 0xa000_0000_0000_0000),
        "f" => f80(0x3ffc, 0xa000_0000_0000_0000),
        "1" => F80::ONE,
        "0" => f80(0, 0),
        "aN" => f80(0x7fff, 0xc000_0000_0000_1234),
        other => panic!("{other}"),
    };
    if name.starts_with('-') { magnitude.negate() } else { magnitude }
}

/// A result by its name in the tables, without what the tables leave open: a finite result is `F`.
fn name(value: F80, env: &Env) -> String {
    let x = Operand::from(value);
    let sign = if x.sign() { '-' } else { '+' };
    match x.class() {
        _ if env.raised.intersects(Flags::INVALID) => {
            assert_eq!(value, INDEFINITE);
            "*".into()
        }
        Class::Infinity if env.raised.intersects(Flags::ZERO_DIVIDE) => format!("**{sign}"),
        Class::Infinity => format!("{sign}inf"),
        Class::Zero => format!("{sign}0"),
        Class::QuietNan => "NaN".into(),
        _ => format!("{sign}F"),
    }
}

/// Checks an operation of ST(1) and ST(0) against a table: the first line names the values of one operand, the
/// others start with that of the other. A result `~` is not looked at.
fn check(table: &str, operation: impl Fn(F80, F80, &mut Env) -> F80) {
    let mut lines = table.trim().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = lines.next().expect("columns");
    let mut rows = 0;
    for line in lines {
        assert_eq!(line.len(), columns.len() + 1);
        for (column, expected) in columns.iter().zip(&line[1..]) {
            let mut env = initialized();
            let result = operation(operand(line[0]), operand(column), &mut env);
            assert!(*expected == "~" || name(result, &env) == *expected, "{} {column}: {result:?}", line[0]);
        }
        rows += 1;
    }
    assert!(rows >= 6);
}

#[test]
fn fadd_results() {
    check(
        "     -inf  -F   -0   +0   +F   +inf NaN
        -inf  -inf -inf -inf -inf -inf *    NaN
        -F    -inf -F   -F   -F   +0   +inf NaN
        -0    -inf -F   -0   +0   +F   +inf NaN
        +0    -inf -F   +0   +0   +F   +inf NaN
        +F    -inf +0   +F   +F   +F   +inf NaN
        +inf  *    +inf +inf +inf +inf +inf NaN
        NaN   NaN  NaN  NaN  NaN  NaN  NaN  NaN",
        arith::add,
    );
}

#[test]
fn fsub_results() {
    check(
        "     -inf  -F   -0   +0   +F   +inf NaN
        -inf  *    -inf -inf -inf -inf -inf NaN
        -F    +inf +0   -F   -F   -F   -inf NaN
        -0    +inf +F   +0   -0   -F   -inf NaN
        +0    +inf +F   +0   +0   -F   -inf NaN
        +F    +inf +F   +F   +F   +0   -inf NaN
        +inf  +inf +inf +inf +inf +inf *    NaN",
        arith::sub,
    );
}

#[test]
fn fmul_results() {
    check(
        "     -inf  -F   -0   +0   +F   +inf NaN
        -inf  +inf +inf *    *    -inf -inf NaN
        -F    +inf +F   +0   -0   -F   -inf NaN
        -0    *    +0   +0   -0   -0   *    NaN
        +0    *    -0   -0   +0   +0   *    NaN
        +F    -inf -F   -0   +0   +F   +inf NaN
        +inf  -inf -inf *    *    +inf +inf NaN",
        arith::mul,
    );
}

#[test]
fn fdiv_results() {
    check(
        "     -inf  -F   -0   +0   +F   +inf NaN
        -inf  *    +inf +inf -inf -inf *    NaN
        -F    +0   +F   **+  **-  -F   -0   NaN
        -0    +0   +0   *    *    -0   -0   NaN
        +0    -0   -0   *    *    +0   +0   NaN
        +F    -0   -F   **-  **+  +F   +0   NaN
        +inf  *    -inf -inf +inf +inf *    NaN",
        arith::div,
    );
}

/// Rows are ST(0), columns ST(1).
#[test]
fn fscale_results() {
    check(
        "     -inf  -F   -0   +0   +F   +inf NaN
        -inf  *    -inf -inf -inf -inf -inf NaN
        -F    -0   -F   -F   -F   -F   -inf NaN
        -0    -0   -0   -0   -0   -0   *    NaN
        +0    +0   +0   +0   +0   +0   *    NaN
        +F    +0   +F   +F   +F   +F   +inf NaN
        +inf  *    +inf +inf +inf +inf +inf NaN",
        scale,
    );
}

/// Rows are ST(0), columns ST(1). A zero divisor is invalid.
#[test]
fn fprem_results() {
    let table = "
              -inf  -1   -0   +0   +1   +inf NaN
        -inf  *     *    *    *    *    *    NaN
        -F    -F    -F   *    *    -F   -F   NaN
        -0    -0    -0   *    *    -0   -0   NaN
        +0    +0    +0   *    *    +0   +0   NaN
        +F    +F    +F   *    *    +F   +F   NaN
        +1    +F    +0   *    *    +0   +F   NaN
        +inf  *     *    *    *    *    *    NaN";
    check(table, |a, b, env| remainder(a, b, Quotient::Truncated, env).value);
    check(table, |a, b, env| remainder(a, b, Quotient::Nearest, env).value);
}

/// Rows are ST(1), columns ST(0).
#[test]
fn fyl2x_results() {
    check(
        "     -inf -F -0   +0   +f   +1 +F   +inf NaN
        -inf  *    *  +inf +inf +inf *  -inf -inf NaN
        -F    *    *  **+  **+  +F   -0 -F   -inf NaN
        -0    *    *  *    *    +0   -0 -0   *    NaN
        +0    *    *  *    *    -0   +0 +0   *    NaN
        +F    *    *  **-  **-  -F   +0 +F   +inf NaN
        +inf  *    *  -inf -inf -inf *  +inf +inf NaN
        NaN   NaN NaN NaN  NaN  NaN NaN NaN  NaN  NaN",
        fyl2x,
    );
}

/// Rows are ST(1), columns ST(0).
#[test]
fn fyl2xp1_results() {
    check(
        "    -f   -0 +0 +f   NaN
        -inf +inf *  *  -inf NaN
        -F   +F   +0 -0 -F   NaN
        -0   +0   +0 -0 -0   NaN
        +0   -0   -0 +0 +0   NaN
        +F   -F   -0 +0 +F   NaN
        +inf -inf *  *  +inf NaN",
        fyl2xp1,
    );
}

/// Rows are ST(1), columns ST(0).
#[test]
fn fpatan_results() {
    let table = "
             -inf  -F   -0   +0   +F   +inf NaN
        -inf -3/4  -1/2 -1/2 -1/2 -1/2 -1/4 NaN
        -F   -1    -3/4 -1/2 -1/2 -1/4 -0   NaN
        -0   -1    -1   -1   -0   -0   -0   NaN
        +0   +1    +1   +1   +0   +0   +0   NaN
        +F   +1    +3/4 +1/2 +1/2 +1/4 +0   NaN
        +inf +3/4  +1/2 +1/2 +1/2 +1/2 +1/4 NaN";
    let mut lines = table.trim().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = lines.next().expect("columns");
    for line in lines {
        for (column, expected) in columns.iter().zip(&line[1..]) {
            let mut env = initialized();
            let angle = fpatan(operand(line[0]), operand(column), &mut env);
            // The significands of pi and of 3 pi, rounded.
            let (pi, three) = (0xc90f_daa2_2168_c235, 0x96cb_e3f9_990e_91a8);
            let wanted = match &expected[1..] {
                "0" => f80(0, 0),
                "1" => f80(0x4000, pi),
                "1/2" => f80(0x3fff, pi),
                "1/4" => f80(0x3ffe, pi),
                "3/4" => f80(0x4000, three),
                _ => operand("NaN"),
            };
            assert_eq!(angle, if expected.starts_with('-') { wanted.negate() } else { wanted });
            let exact = expected.ends_with('0') || *expected == "NaN";
            assert_eq!(
                env.raised.bits(),
                if exact { 0 } else { Flags::PRECISION.bits() },
                "{} {column}",
                line[0]
            );
        }
    }
}

#[test]
fn functions_of_one_operand_at_special_operands() {
    let run = |function: fn(F80, &mut Env) -> Option<F80>, a: &str| {
        let mut env = initialized();
        function(operand(a), &mut env).map(|result| name(result, &env))
    };
    for (a, [sine, cosine, tangent, power, root]) in [
        ("-inf", ["*", "*", "*", "-F", "*"]),
        ("-0", ["-0", "+F", "-0", "-0", "-0"]),
        ("+0", ["+0", "+F", "+0", "+0", "+0"]),
        ("+inf", ["*", "*", "*", "+inf", "+inf"]),
        ("NaN", ["NaN", "NaN", "NaN", "NaN", "NaN"]),
    ] {
        assert_eq!(run(fsin, a).as_deref(), Some(sine), "sin {a}");
        assert_eq!(run(fcos, a).as_deref(), Some(cosine), "cos {a}");
        assert_eq!(run(|a, env| fptan(a, env).map(|t| t.0), a).as_deref(), Some(tangent), "tan {a}");
        assert_eq!(run(|a, env| Some(f2xm1(a, env)), a).as_deref(), Some(power), "2^{a} - 1");
        assert_eq!(run(|a, env| Some(arith::sqrt(a, env)), a).as_deref(), Some(root), "sqrt {a}");
    }
    assert_eq!(f2xm1(operand("-inf"), &mut initialized()), F80::ONE.negate());
    assert_eq!(run(|a, env| Some(arith::sqrt(a, env)), "-F").as_deref(), Some("*"));
}

#[test]
fn trigonometric_arguments_of_2_to_the_63_set_c2() {
    let (inside, outside) = (f80(0x403d, u64::MAX), f80(0x403e, 1 << 63));
    for a in [inside, inside.negate()] {
        let env = &mut initialized();
        assert!(fsin(a, env).is_some() && fcos(a, env).is_some() && fptan(a, env).is_some());
        assert_eq!(fsincos(a, env), fsin(a, env).zip(fcos(a, env)));
    }
    for a in [outside, outside.negate()] {
        let env = &mut initialized();
        assert!(fsin(a, env).is_none() && fcos(a, env).is_none());
        assert!(fptan(a, env).is_none() && fsincos(a, env).is_none());
        assert_eq!(env.raised, Flags::NONE);
    }
}

/// The 80-bit pi falls short of the 66-bit one by -2^-64, which is the sine that every x87 gives.
#[test]
fn pi_has_66_bits() {
    let env = &mut initialized();
    let pi = constant(Constant::Pi, env);
    assert_eq!(fsin(pi, env), Some(f80(0xbfbf, 1 << 63)));
    let half_pi = F80 { sign_exponent: pi.sign_exponent - 1, ..pi };
    assert_eq!(fcos(half_pi, env), Some(f80(0xbfbe, 1 << 63)));
}

#[test]
fn fxtract_results() {
    for (a, significand, exponent, flags) in [
        ("-inf", "-inf", "+inf", Flags::NONE),
        ("-0", "-0", "-inf", Flags::ZERO_DIVIDE),
        ("+0", "+0", "-inf", Flags::ZERO_DIVIDE),
        ("NaN", "NaN", "NaN", Flags::NONE),
    ] {
        let mut env = initialized();
        let parts = extract(operand(a), &mut env);
        assert_eq!((parts.significand, parts.exponent), (operand(significand), operand(exponent)));
        assert_eq!(env.raised, flags);
    }
    let mut env = initialized();
    let parts = extract(f80(0x8000, 1), &mut env);
    assert_eq!((parts.significand, parts.exponent), (F80::ONE.negate(), convert::from_integer(-16445)));
    assert_eq!(env.raised, Flags::DENORMAL);
}

#[test]
fn rules_for_handling_nans() {
    let (quiet, larger) = (f80(0x7fff, 0xc000_0000_0000_0001), f80(0x7fff, 0xc000_0000_0000_0002));
    let (signaling, quieted) = (f80(0xffff, 0x9000_0000_0000_0000), f80(0xffff, 0xd000_0000_0000_0000));
    let lesser_signaling = f80(0x7fff, 0x8000_0000_0000_0001);
    for (a, b, result, flags) in [
        (quiet, larger, larger, Flags::NONE),
        (quiet.negate(), quiet, quiet, Flags::NONE),
        (quiet, F80::ONE, quiet, Flags::NONE),
        (signaling, quiet, quiet, Flags::INVALID),
        (signaling, lesser_signaling, quieted, Flags::INVALID),
        (signaling, F80::ONE, quieted, Flags::INVALID),
    ] {
        for (x, y) in [(a, b), (b, a)] {
            let mut env = initialized();
            assert_eq!((arith::mul::<F80>(x, y, &mut env), env.raised), (result, flags), "{x:?} {y:?}");
        }
    }
    let (quiet, signaling, quieted) = (F32(0x7fc0_0001), F32(0xff80_0002), F32(0xffc0_0002));
    for (a, b, result, flags) in [
        (quiet, signaling, quiet, Flags::INVALID),
        (signaling, quiet, quieted, Flags::INVALID),
        (F32(0), signaling, quieted, Flags::INVALID),
        (quiet, F32(0), quiet, Flags::NONE),
    ] {
        let mut env = Env::from_mxcsr(0x1f80);
        assert_eq!((arith::mul::<F32>(a, b, &mut env), env.raised), (result, flags), "{a:?} {b:?}");
    }
}

#[test]
fn unsupported_encodings_are_invalid_operands() {
    for a in [
        f80(0x3fff, 0x7fff_ffff_ffff_ffff), // unnormal
        f80(0x4000, 0),                     // pseudo-zero
        f80(0x7fff, 0),                     // pseudo-infinity
        f80(0xffff, 0x4000_0000_0000_0001), // pseudo-NaN
    ] {
        assert_eq!(Operand::from(a).class(), Class::Unsupported);
        for b in [F80::ONE, operand("NaN")] {
            let mut env = initialized();
            assert_eq!(arith::add::<F80>(a, b, &mut env), INDEFINITE);
            assert_eq!(env.raised, Flags::INVALID);
        }
        let mut env = initialized();
        assert_eq!(compare(a, F80::ONE, Quiet::Accepted, &mut env), None);
        assert_eq!(convert::store::<F64>(a, &mut env), F64(0xfff8_0000_0000_0000));
        assert_eq!(env.raised, Flags::INVALID);
    }
}

#[test]
fn pseudo_denormals_count_as_the_denormals_they_stand_for() {
    let pseudo = f80(0, 1 << 63);
    assert_eq!(Operand::from(pseudo).class(), Class::Denormal);
    let mut env = initialized();
    assert_eq!(arith::add::<F80>(pseudo, F80::default(), &mut env), f80(1, 1 << 63));
    assert_eq!(env.raised, Flags::DENORMAL);
}

#[test]
fn integers_out_of_range_give_the_integer_indefinite() {
    for (a, value) in [
        (operand("+inf"), i16::MIN),
        (operand("NaN"), i16::MIN),
        (convert::from_integer(0x8000), i16::MIN),
        (convert::from_integer(-0x8001), i16::MIN),
    ] {
        let mut env = initialized();
        assert_eq!(convert::to_integer::<i16>(a, Rounding::NearestEven, &mut env), value);
        assert_eq!(env.raised, Flags::INVALID);
    }
    let mut env = initialized();
    let extreme = convert::from_integer(i64::MIN);
    assert_eq!(convert::to_integer::<i64>(extreme, Rounding::Zero, &mut env), i64::MIN);
    assert_eq!(env.raised, Flags::NONE);
}

#[test]
fn packed_bcd() {
    let env = &mut initialized();
    let encoding = [0x90, 0x78, 0x56, 0x34, 0x12, 0x09, 0x00, 0x00, 0x00, 0x80];
    let number = convert::from_integer(-91_234_567_890);
    assert_eq!(convert::from_bcd(encoding), number);
    assert_eq!(convert::to_bcd(number, env), encoding);
    assert_eq!(convert::from_bcd([0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]), operand("-0"));
    assert_eq!(convert::to_bcd(convert::from_integer(999_999_999_999_999_999), env)[..9], [0x99; 9]);
    assert_eq!(env.raised, Flags::NONE);
    let too_large = convert::to_bcd(convert::from_integer(1_000_000_000_000_000_000), env);
    assert_eq!(too_large, [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff]);
    assert_eq!(env.raised, Flags::INVALID);
}

#[test]
fn constants_follow_rounding_control() {
    let down = &Env::from_control_word(0x077f);
    let up = &Env::from_control_word(0x0b7f);
    for (which, down_significand) in [
        (Constant::Log2Of10, 0xd49a_784b_cd1b_8afe),
        (Constant::Log2OfE, 0xb8aa_3b29_5c17_f0bb),
        (Constant::Pi, 0xc90f_daa2_2168_c234),
        (Constant::Log10Of2, 0x9a20_9a84_fbcf_f798),
        (Constant::LnOf2, 0xb172_17f7_d1cf_79ab),
    ] {
        assert_eq!(constant(which, down).significand, down_significand);
        assert_eq!(constant(which, up).significand, down_significand + 1);
    }
    assert_eq!((constant(Constant::One, up), constant(Constant::Zero, up)), (F80::ONE, F80::default()));
}

/// SDM Vol. 1, "Precision Control Field": 24, 53 or 64 bits, with the exponent range of the register format.
#[test]
fn precision_control_narrows_significands_not_exponents() {
    let one_plus = |bits: u32| f80(0x3fff, 1 << 63 | 1 << (63 - bits));
    for (control, kept, lost) in [(0x7f, 23, 24), (0x27f, 52, 53), (0x37f, 63, 64)] {
        let mut env = Env::from_control_word(control);
        let sum: F80 = arith::mul(one_plus(kept), F80::ONE, &mut env);
        assert_eq!((sum, env.raised), (one_plus(kept), Flags::NONE));
        if lost < 64 {
            let sum: F80 = arith::mul(one_plus(lost), F80::ONE, &mut env);
            assert_eq!((sum, env.raised), (F80::ONE, Flags::PRECISION));
        }
    }
    let mut env = Env::from_control_word(0x7f);
    let small = f80(1, 1 << 63);
    assert_eq!(arith::mul::<F80>(small, F80::ONE, &mut env), small);
    assert_eq!(env.raised, Flags::NONE);
}
