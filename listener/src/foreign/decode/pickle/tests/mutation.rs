//! Valid pickles with a few bytes changed: whatever comes out, nothing panics.

use super::*;

const SEEDS: [&[u8]; 5] = [
    b"(dp0\nVmsg\np1\nVhello %s\np2\nsVargs\np3\n(Vx\nI5\ntp4\nsVcreated\nF1.5\nsVd\ncdatetime\ndate\n(c_codecs\nencode\n(V\x07\xe4\x01\x02\nVlatin1\ntRtRs.",
    b"\x80\x02}q\0(X\x03\0\0\0msgq\x01X\x02\0\0\0%dX\x04\0\0\0argsK\x05\x85X\x01\0\0\0s]q\x02(K\x01h\x02h\x02eX\x01\0\0\0uc__builtin__\nset\n]K\x01a\x85Ru.",
    b"\x80\x04\x95\x4e\0\0\0\0\0\0\0}\x94(\x8c\x03msg\x94\x8c\x01m\x94\x8c\x01u\x8c\x04uuid\x8c\x04UUID\x93)\x81}\x8c\x03int\x8a\x09\x01\0\0\0\0\0\0\0\x7fsb\x8c\x01d\x8c\x07decimal\x8c\x07Decimal\x93\x8c\x031.5\x85Ru.",
    b"\x80\x05}(\x8c\x03msg\x8c\x0b%(a)s %5.2f\x8c\x04args}(\x8c\x01aK\x01u\x8c\x01b\x96\x02\0\0\0\0\0\0\0ab\x8c\x01f(K\x01\x91\x8c\x01t\x88u.",
    b"\x80\x04}(\x8c\x03msg\x8c\x01m\x8c\x01x\x8c\x08datetime\x8c\x09timedelta\x93J\xff\xff\xff\xffK\x05K\x00\x87R\x8c\x01p\x8c\x07pathlib\x8c\x04Path\x93\x8c\x01/\x8c\x01a\x86R\x8c\x01nGN\0\0\0\0\0\0\0u.",
];

/// A generator by George Marsaglia: no test needs more, and each run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % end
    }

    fn byte(&mut self) -> u8 {
        // Opcodes are more telling than any byte.
        const OPCODES: &[u8] = b"(.012FIJKLMNPQRSTUVXabcd}egiijlo]pqrst)uG\x81\x85\x86\x87\x8a\x8c\x8f\x90\x91\x92\x93\x94";
        let any = self.0.to_le_bytes()[1];
        if self.below(2) == 0 { OPCODES[self.below(OPCODES.len())] } else { any }
    }
}

#[test]
fn the_seeds_are_records() {
    for (index, seed) in SEEDS.iter().enumerate() {
        assert_eq!(decode(seed).map(|_| ()), Ok(()), "seed {index}");
    }
}

#[test]
fn a_pickle_that_is_cut_anywhere_is_refused() {
    for seed in SEEDS {
        for end in 0..seed.len() {
            assert!(decode(&seed[..end]).is_err(), "{:?}", seed[..end].escape_ascii());
        }
        let longer = [seed, b"N"].concat();
        assert_eq!(decode(&longer), Err(Refused::Trailing { bytes: 1 }));
    }
}

#[test]
fn a_changed_pickle_never_panics() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for round in 0..40_000 {
        let mut body = SEEDS[round % SEEDS.len()].to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(body.len());
            match random.below(4) {
                0 => drop(body.remove(at)),
                1 => body.insert(at, random.byte()),
                2 => {
                    let from = random.below(body.len());
                    let part = body[from..(from + random.below(12)).min(body.len())].to_vec();
                    body.splice(at..at, part);
                }
                _ => body[at] = random.byte(),
            }
        }
        accepted += usize::from(decode(&body).is_ok());
    }
    assert!((1_000..39_000).contains(&accepted), "{accepted} of 40,000 say too little");
}
