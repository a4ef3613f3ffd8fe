//! Integers as decimal digits, without the cost of `core::fmt`.

/// "00" to "99".
static PAIRS: [u8; 200] = pairs();

const fn pairs() -> [u8; 200] {
    let mut table = [0; 200];
    let mut number = 0_u8;
    while number < 100 {
        table[number as usize * 2] = b'0' + number / 10;
        table[number as usize * 2 + 1] = b'0' + number % 10;
        number += 1;
    }
    table
}

/// The digits of a number below 100.
fn pair(number: u64) -> [u8; 2] {
    let at = usize::try_from(number % 100).unwrap_or(0) * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

/// The eight digits of a number below 100 million, with zeros in front. All pairs are divided at
/// once: two numbers of four digits become four of two, and these eight of one, side by side in
/// one word. The quotients are exact for all numbers that fit their digits.
#[inline]
pub(super) fn eight_digits(number: u32) -> [u8; 8] {
    let number = u64::from(number);
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

/// Appends an unsigned integer.
#[inline]
pub(super) fn put_u64(number: u64, out: &mut Vec<u8>) {
    match u32::try_from(number) {
        Ok(number @ ..100_000_000) => {
            let digits = u64::from_le_bytes(eight_digits(number));
            // The first digits are the lowest bytes; a digit of zero has no bits but those of '0'.
            let leading = ((digits ^ 0x3030_3030_3030_3030) | 1 << 56).trailing_zeros() / 8;
            let end = out.len() + 8 - leading as usize;
            out.extend_from_slice(&(digits >> (8 * leading)).to_le_bytes());
            out.truncate(end);
        }
        _ => put_large(number, out),
    }
}

fn put_large(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while number >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(number));
        number /= 100;
    }
    at -= 2;
    digits[at..at + 2].copy_from_slice(&pair(number));
    // A pair's first digit may be a leading zero.
    at += usize::from(number < 10);
    out.extend_from_slice(&digits[at..]);
}

/// Appends a signed integer.
pub(super) fn put_i64(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    put_u64(number.unsigned_abs(), out);
}

/// Writes a number as exactly as many digits as the slice has room for, the higher ones cut off.
pub(super) fn fill_digits(mut number: u64, digits: &mut [u8]) {
    for pair_of_digits in digits.rchunks_mut(2) {
        let [tens, units] = pair(number);
        match pair_of_digits {
            [first, second] => (*first, *second) = (tens, units),
            [only] => *only = units,
            _ => {}
        }
        number /= 100;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unsigned(number: u64) -> String {
        let mut out = Vec::new();
        put_u64(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_power_of_ten_and_its_neighbours_are_printed() {
        let mut power = 1_u64;
        loop {
            for number in [power - 1, power, power + 1] {
                assert_eq!(unsigned(number), number.to_string());
            }
            let Some(next) = power.checked_mul(10) else { break };
            power = next;
        }
        assert_eq!(unsigned(u64::MAX), u64::MAX.to_string());
    }

    proptest! {
        #[test]
        fn any_integer_is_printed_as_rust_prints_it(bits: u64, shift in 0..64_u32) {
            let number = bits >> shift;
            prop_assert_eq!(unsigned(number), number.to_string());
            let number = number.cast_signed();
            let mut out = Vec::new();
            put_i64(number, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }

        #[test]
        fn digits_fill_their_room_with_zeros_in_front(number in 0..1_000_000_u64) {
            let mut digits = [0; 6];
            fill_digits(number, &mut digits);
            prop_assert_eq!(String::from_utf8(digits.to_vec()).unwrap(), format!("{number:06}"));
            let mut digits = [0; 3];
            fill_digits(number, &mut digits);
            prop_assert_eq!(String::from_utf8(digits.to_vec()).unwrap(), format!("{:03}", number % 1000));
        }
    }
}
