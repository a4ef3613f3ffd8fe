//! Unpacking: the bytes of a file as they were written, whatever it is packed with.
//!
//! A packed file is read to its very end: what its sums say is checked, and so is that nothing
//! stands behind it. What could be read before the damage has been given out by then.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::Opened;
use crate::options::Compression;

/// How much of a packed file is read at a time.
const CHUNK: usize = 64 << 10;

/// A file's bytes.
pub(crate) enum Unpacked {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
    Zstd(Box<Decoder<'static, BufReader<File>>>),
}

impl Unpacked {
    /// Reads an open chapter from its beginning.
    ///
    /// # Errors
    /// The decoder has no memory, or a packed file is empty.
    pub(crate) fn of(opened: Opened) -> io::Result<Self> {
        let Opened { compression, file, size, .. } = opened;
        if compression != Compression::None && size == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is empty"));
        }
        let reader = |file| BufReader::with_capacity(CHUNK, file);
        Ok(match compression {
            Compression::None => Self::Plain(file),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(reader(file)))),
            Compression::Zstd => Self::Zstd(Box::new(Decoder::with_buffer(reader(file))?)),
        })
    }

    fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    /// How much of the file was read, packed.
    pub(crate) fn packed_position(&self) -> u64 {
        (&mut self.file()).stream_position().unwrap_or(0)
    }

    /// How long the file is now, packed.
    pub(crate) fn length(&self) -> Option<u64> {
        self.file().metadata().ok().map(|found| found.len())
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::path::PathBuf;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(packed: &[u8], compression: Compression) -> (Vec<u8>, io::Result<()>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(packed).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let size = packed.len() as u64;
        let opened = Opened { path: PathBuf::new(), compression, file, size };
        let mut bytes = Vec::new();
        let mut unpacked = match Unpacked::of(opened) {
            Ok(unpacked) => unpacked,
            Err(error) => return (bytes, Err(error)),
        };
        let mut chunk = [0; 100];
        loop {
            match unpacked.read(&mut chunk) {
                Ok(0) => return (bytes, Ok(())),
                Ok(read) => bytes.extend_from_slice(&chunk[..read]),
                Err(error) => return (bytes, Err(error)),
            }
        }
    }

    #[test]
    fn whole_archives_come_back_and_so_do_those_of_several_parts() {
        let text = b"one line and another one\n".repeat(2000);
        for (packed, compression) in [
            (gzip(&text), Compression::Gzip),
            (zstd(&text), Compression::Zstd),
            (text.clone(), Compression::None),
        ] {
            let (bytes, ended) = unpack(&packed, compression);
            assert!(ended.is_ok() && bytes == text, "{compression:?} {ended:?}");
            let (bytes, ended) = unpack(&packed.repeat(2), compression);
            assert!(ended.is_ok() && bytes == text.repeat(2), "{compression:?} {ended:?}");
        }
    }

    #[test]
    fn a_flipped_byte_a_missing_one_and_one_too_many_are_errors() {
        let text = b"one line and another one\n".repeat(50);
        for (packed, compression) in
            [(gzip(&text), Compression::Gzip), (zstd(&text), Compression::Zstd)]
        {
            let mut flips = 0;
            for at in packed.len() / 2..packed.len() {
                let mut flipped = packed.clone();
                flipped[at] ^= 0x40;
                let (bytes, ended) = unpack(&flipped, compression);
                // Some bits mean nothing: those that fill up the last byte of the packed data.
                let is_harmless = ended.is_ok() && bytes == text;
                assert!(ended.is_err() || is_harmless, "{compression:?} flipped at {at}");
                flips += u32::from(is_harmless);
                let (_, ended) = unpack(&packed[..at], compression);
                assert!(ended.is_err(), "{compression:?} cut at {at}");
            }
            assert!(flips <= 1, "{flips} flipped bytes of {compression:?} were not seen");
            let (_, ended) = unpack(&[&packed[..], b"x"].concat(), compression);
            assert!(ended.is_err(), "{compression:?} with a byte behind it");
            assert!(unpack(b"", compression).1.is_err(), "an empty {compression:?}");
        }
    }
}
