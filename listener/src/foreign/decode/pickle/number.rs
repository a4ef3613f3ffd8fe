//! Numbers as Python's `repr` writes them, and as `%` can use them.

use super::limits::{INTEGER_BYTES, INTEGER_DIGITS};
use super::node::Node;

/// Nine decimal digits are the most that fit into 32 bits.
const NINE_DIGITS: u64 = 1_000_000_000;

/// An integer or a boolean in decimal, or what stands for one that is too long.
pub(super) fn decimal(node: &Node<'_>) -> Option<String> {
    Some(match node {
        Node::Bool(value) => u8::from(*value).to_string(),
        Node::Int(value) => value.to_string(),
        Node::Unsigned(value) => value.to_string(),
        Node::Long(bytes) if bytes.len() <= INTEGER_BYTES => long_decimal(bytes),
        Node::Long(bytes) => format!("<integer of {} bytes>", bytes.len()),
        Node::Digits(text) if text.len() <= INTEGER_DIGITS => (*text).to_owned(),
        Node::Digits(text) => format!("<integer of {} digits>", text.len()),
        _ => return None,
    })
}

/// An integer or a boolean, where it fits.
pub(super) fn integer(node: &Node<'_>) -> Option<i128> {
    match node {
        Node::Bool(value) => Some((*value).into()),
        Node::Int(value) => Some((*value).into()),
        Node::Unsigned(value) => Some((*value).into()),
        Node::Digits(text) => text.parse().ok(),
        Node::Long(bytes) => {
            let fill = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
            let mut wide = [fill; 16];
            wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
            Some(i128::from_le_bytes(wide))
        }
        _ => None,
    }
}

/// An integer of at most 128 bits that has no sign.
pub(super) fn unsigned(node: &Node<'_>) -> Option<u128> {
    match node {
        // A set highest bit costs Python a byte for the sign.
        Node::Long([low @ .., 0]) if low.len() == 16 => {
            Some(u128::from_le_bytes((*low).try_into().ok()?))
        }
        Node::Digits(text) => text.parse().ok(),
        node => u128::try_from(integer(node)?).ok(),
    }
}

/// A float with as few digits as name it, as Python writes it.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse() {
        Ok(exponent @ (..-4 | 16..)) => format!("{digits}{}", exponent_text(exponent, 'e')),
        _ => format!("{value:?}"),
    }
}

/// An exponent as C and Python write it, with two digits or more.
pub(super) fn exponent_text(exponent: i32, letter: char) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{letter}{sign}{:02}", exponent.unsigned_abs())
}

fn long_decimal(bytes: &[u8]) -> String {
    let negative = bytes.last().is_some_and(|&last| last >= 0x80);
    let mut limbs: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| {
            let mut limb = [if negative { 0xff } else { 0 }; 4];
            limb[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(limb)
        })
        .collect();
    if negative {
        // Two's complement: turn every bit and add one.
        let mut carry = true;
        for limb in &mut limbs {
            (*limb, carry) = (!*limb).overflowing_add(carry.into());
        }
    }
    let mut groups = Vec::new();
    while limbs.iter().any(|&limb| limb != 0) {
        groups.push(divide_by_nine_digits(&mut limbs));
    }
    let mut text = String::from(if negative { "-" } else { "" });
    text.push_str(&groups.pop().unwrap_or(0).to_string());
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

/// Divides in place and returns the remainder.
fn divide_by_nine_digits(limbs: &mut Vec<u32>) -> u64 {
    let mut remainder = 0;
    for limb in limbs.iter_mut().rev() {
        let value = (remainder << 32) | u64::from(*limb);
        // The remainder is less than the divisor, so the quotient fits into 32 bits.
        *limb = u32::try_from(value / NINE_DIGITS).unwrap_or(u32::MAX);
        remainder = value % NINE_DIGITS;
    }
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    remainder
}
