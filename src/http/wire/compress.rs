//! Compression of large responses for clients that accept it: br, gzip or deflate, by the client's preference.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderMap, header};
use promox_kernel::{Content, Error};

/// Responses of fewer bytes are not compressed, because they fit into one packet anyway.
const MIN_BYTES: usize = 1_400;
// Fast levels, because responses are compressed once and sent once.
const DEFLATE_LEVEL: u32 = 4;
const BROTLI_LEVEL: u32 = 3;
const BROTLI_WINDOW: u32 = 20;
const ZSTD_LEVEL: i32 = 3;

/// A supported coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
    Deflate,
}

impl Coding {
    /// The name of the coding in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The coding in which `content` is sent: the one that the client prefers, unless the content is small or would not
    /// become smaller.
    pub(crate) fn of(content: &Content, headers: &HeaderMap) -> Option<Self> {
        let is_large = match content {
            Content::Empty => false,
            Content::Json(bytes) | Content::Bytes(_, bytes) => bytes.len() >= MIN_BYTES,
            // A file is sent as it is, with its length, so that a client can tell whether it has all of it.
            Content::Stream(_, reader) => reader.length().is_none(),
        };
        let is_worthwhile = is_large && content.media_type().is_some_and(is_compressible);
        if is_worthwhile { Self::wanted(headers) } else { None }
    }

    /// The coding that `Accept-Encoding` prefers, if any. Of equal preferences br is chosen first, then zstd and gzip.
    fn wanted(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
        let known = [Self::Deflate, Self::Gzip, Self::Zstd, Self::Brotli];
        let best = known.into_iter().max_by_key(|coding| weight(text, coding.name()))?;
        (weight(text, best.name()) > 0).then_some(best)
    }
}

/// The weight of a coding in thousandths: its own, otherwise that of `*`, otherwise 0.
fn weight(accepted: &str, name: &str) -> u32 {
    let mut any = 0;
    for item in accepted.split(',') {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(1000, thousandths);
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case(name) => return weight,
            "*" => any = weight,
            _ => {}
        }
    }
    any
}

/// Parses a weight: 500 for `0.5`, and 0 if it is invalid.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let fraction = fraction.get(..fraction.len().min(3)).unwrap_or_default();
    let digits = format!("{whole}{fraction:0<3}");
    digits.parse().unwrap_or(0)
}

/// Whether a media type benefits from compression. Pictures and archives are already compressed, and event streams must
/// not wait in a buffer.
fn is_compressible(media_type: &str) -> bool {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    bare != "text/event-stream"
        && (bare.starts_with("text/")
            || bare.ends_with("json")
            || bare.ends_with("xml")
            || bare == "application/javascript")
}

/// A streaming compressor.
pub(crate) enum Compressor {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Deflate(Box<ZlibEncoder<Vec<u8>>>),
}

impl Compressor {
    pub(crate) fn new(coding: Coding) -> Result<Self, Error> {
        let level = Compression::new(DEFLATE_LEVEL);
        Ok(match coding {
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                16 * 1024,
                BROTLI_LEVEL,
                BROTLI_WINDOW,
            ))),
            Coding::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(Error::internal)?;
                Self::Zstd(Box::new(encoder))
            }
            Coding::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), level))),
            Coding::Deflate => Self::Deflate(Box::new(ZlibEncoder::new(Vec::new(), level))),
        })
    }

    /// Compresses a chunk. Returns the compressed bytes that are ready, which may be none.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Bytes, Error> {
        let ready = match self {
            Self::Brotli(writer) => writer.write_all(chunk).map(|()| std::mem::take(writer.get_mut())),
            Self::Zstd(writer) => writer.write_all(chunk).map(|()| std::mem::take(writer.get_mut())),
            Self::Gzip(writer) => writer.write_all(chunk).map(|()| std::mem::take(writer.get_mut())),
            Self::Deflate(writer) => writer.write_all(chunk).map(|()| std::mem::take(writer.get_mut())),
        };
        ready.map(Bytes::from).map_err(Error::internal)
    }

    /// Ends the stream and returns the remaining bytes.
    pub(crate) fn finish(self) -> Result<Bytes, Error> {
        let rest = match self {
            Self::Brotli(writer) => Ok(writer.into_inner()),
            Self::Zstd(writer) => writer.finish(),
            Self::Gzip(writer) => writer.finish(),
            Self::Deflate(writer) => writer.finish(),
        };
        rest.map(Bytes::from).map_err(Error::internal)
    }
}

/// Compresses all of `bytes` at once.
pub(crate) fn whole(coding: Coding, bytes: &[u8]) -> Result<Bytes, Error> {
    let mut compressor = Compressor::new(coding)?;
    let first = compressor.push(bytes)?;
    let rest = compressor.finish()?;
    if first.is_empty() { Ok(rest) } else { Ok([first, rest].concat().into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn accept_encoding_selects_the_coding() {
        let table = [
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip, deflate", Some(Coding::Gzip)),
            ("br;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
            ("br;q=0, *", Some(Coding::Zstd)),
            ("zstd;q=0, br;q=0, *", Some(Coding::Gzip)),
            ("identity", None),
            ("gzip;q=0", None),
            ("zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
            ("gzip, zstd", Some(Coding::Zstd)),
            ("br;q=0.9, zstd;q=1.0", Some(Coding::Zstd)),
            ("zstd;q=0, gzip", Some(Coding::Gzip)),
            ("lzma", None),
        ];
        for (accepted, wanted) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(Coding::wanted(&headers), wanted, "{accepted}");
        }
        assert_eq!(Coding::wanted(&HeaderMap::new()), None);
    }

    #[test]
    fn compressed_bytes_decompress_to_the_original() {
        let text = "an assorted hen ".repeat(5_000);
        for coding in [Coding::Brotli, Coding::Zstd, Coding::Gzip, Coding::Deflate] {
            let small = whole(coding, text.as_bytes()).unwrap();
            assert!(small.len() * 10 < text.len(), "{coding:?}");
            let mut back = String::new();
            match coding {
                Coding::Brotli => brotli::Decompressor::new(&small[..], 4096).read_to_string(&mut back).unwrap(),
                Coding::Zstd => zstd::Decoder::new(&small[..]).unwrap().read_to_string(&mut back).unwrap(),
                Coding::Gzip => flate2::read::GzDecoder::new(&small[..]).read_to_string(&mut back).unwrap(),
                Coding::Deflate => flate2::read::ZlibDecoder::new(&small[..]).read_to_string(&mut back).unwrap(),
            };
            assert!(back == text, "{coding:?}");
        }
    }
}
