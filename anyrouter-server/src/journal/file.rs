//! The file: frames of length, checksum and payload, in segments that are dropped whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyrouter_core::usage::{Opening, Record};
use serde::{Deserialize, Serialize};

/// What a frame holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A request is open.
    Open(Opening),
    /// A request has ended.
    Record(Record),
}

/// The journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the usage journal at {path}: {source}")]
pub struct JournalError {
    path: PathBuf,
    source: std::io::Error,
}

/// Length and checksum, before each payload.
const HEADER: usize = 8;
/// No entry is larger; a length above this is damage.
const LARGEST: usize = 1 << 20;

/// The segments of a journal, and the one that is written.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    segment: u64,
    file: File,
    /// Bytes of the current segment that hold whole frames.
    length: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the journal in `folder` with a new segment, and gives what older segments hold: their entries in order. They stay until
    /// [`drop_before`](Self::drop_before).
    pub fn open(folder: &Path) -> Result<(Self, Vec<Entry>), JournalError> {
        let fail = |source| JournalError { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(fail)?;
        let segments = segments(folder).map_err(fail)?;
        let mut entries = Vec::new();
        for (_, path) in &segments {
            let bytes = fs::read(path).map_err(|source| JournalError { path: path.clone(), source })?;
            entries.extend(read_entries(&bytes).0);
        }
        let segment = segments.last().map_or(0, |(n, _)| n + 1);
        let file = create(folder, segment).map_err(fail)?;
        Ok((Self { folder: folder.to_owned(), segment, file, length: 0, buffer: Vec::with_capacity(2048) }, entries))
    }

    /// Appends an entry with one `write`. A write that was cut short is taken back, so that the next begins on a frame.
    pub fn append(&mut self, entry: &Entry) -> std::io::Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; HEADER]);
        serde_json::to_writer(&mut self.buffer, entry)?;
        let payload = self.buffer.get(HEADER..).unwrap_or_default();
        let length = u32::try_from(payload.len()).map_err(std::io::Error::other)?.to_le_bytes();
        let checksum = crc32fast::hash(payload).to_le_bytes();
        for (to, from) in self.buffer.iter_mut().zip(length.iter().chain(&checksum)) {
            *to = *from;
        }
        if let Err(e) = self.file.write_all(&self.buffer) {
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(e);
        }
        self.length += self.buffer.len() as u64;
        Ok(())
    }

    /// The current segment and how much of it holds whole frames.
    pub fn position(&self) -> (u64, u64) {
        (self.segment, self.length)
    }

    /// A handle of the current segment, to bring to disk without holding the journal.
    pub fn handle(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }

    /// The entries of the current segment from a position on.
    pub fn entries_from(&self, from: u64) -> std::io::Result<Vec<Entry>> {
        let mut bytes = vec![0; usize::try_from(self.length.saturating_sub(from)).map_err(std::io::Error::other)?];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(read_entries(&bytes).0)
    }

    /// Begins a new segment.
    pub fn rotate(&mut self) -> std::io::Result<()> {
        self.file = create(&self.folder, self.segment + 1)?;
        self.segment += 1;
        self.length = 0;
        Ok(())
    }

    /// Drops every segment before the current one.
    pub fn drop_before(&self) -> std::io::Result<()> {
        for (n, path) in segments(&self.folder)? {
            if n < self.segment {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn create(folder: &Path, segment: u64) -> std::io::Result<File> {
    let path = folder.join(format!("journal-{segment:012}"));
    let file = OpenOptions::new().create_new(true).append(true).read(true).open(path)?;
    // The name must outlive a power loss as the bytes do.
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn segments(folder: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|n| n.to_str()?.strip_prefix("journal-")?.parse().ok());
        found.extend(number.map(|n| (n, path)));
    }
    found.sort_unstable();
    Ok(found)
}

/// The whole frames of `bytes`, and how many bytes were read. A damaged stretch is passed over: a frame behind it counts again where
/// length, checksum and payload all agree.
pub fn read_entries(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let (mut entries, mut at, mut read) = (Vec::new(), 0, 0);
    let mut damaged = false;
    while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
        match frame(rest) {
            // Where the beginning of a frame is a guess, only an entry that reads counts.
            Some((entry, length)) if entry.is_some() || !damaged => {
                entries.extend(entry);
                at += length;
                (read, damaged) = (at, false);
            }
            _ => {
                at += 1;
                damaged = true;
            }
        }
    }
    (entries, read)
}

/// The first frame and its length; the entry is none where the frame is whole but of a later version.
fn frame(mut bytes: &[u8]) -> Option<(Option<Entry>, usize)> {
    let (mut length, mut checksum) = ([0; 4], [0; 4]);
    bytes.read_exact(&mut length).ok()?;
    bytes.read_exact(&mut checksum).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    let payload = bytes.get(..length).filter(|p| p.len() <= LARGEST && !p.is_empty())?;
    if crc32fast::hash(payload) != u32::from_le_bytes(checksum) {
        return None;
    }
    Some((serde_json::from_slice(payload).ok(), HEADER + length))
}

#[cfg(test)]
mod tests {
    use anyrouter_core::{ids::RequestId, key::KeyHash, time::Timestamp};

    use super::*;

    fn opening(n: u8) -> Opening {
        Opening {
            id: RequestId::new(Timestamp::from_millis(u64::from(n)), [n; 6]),
            account: "acc_1".into(),
            key_hash: KeyHash::from_bytes(&[n; 32]).unwrap(),
            at: Timestamp::from_millis(u64::from(n)),
            ip: None,
            model_requested: Some("m".to_owned()),
            endpoint: None,
        }
    }

    fn written(n: u8) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, before) = Journal::open(folder.path()).unwrap();
        assert!(before.is_empty());
        for i in 0..n {
            journal.append(&Entry::Record(Record::opened(opening(i)))).unwrap();
        }
        let path = folder.path().join("journal-000000000000");
        (folder, path)
    }

    #[test]
    fn what_was_appended_is_read_back_in_order() {
        let (folder, _) = written(5);
        let (_, entries) = Journal::open(folder.path()).unwrap();
        let ids: Vec<_> = entries.iter().map(|e| if let Entry::Record(r) = e { r.id } else { panic!("a record") }).collect();
        assert_eq!(ids, (0..5).map(|i| opening(i).id).collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_tail_loses_the_torn_entry_alone_wherever_it_is_torn() {
        let (_folder, path) = written(3);
        let bytes = fs::read(&path).unwrap();
        let two = read_entries(bytes.get(..bytes.len() - 1).unwrap()).1;
        for cut in two..bytes.len() {
            assert_eq!(read_entries(&bytes[..cut]).0.len(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_byte_loses_its_own_record_and_no_other() {
        let (_folder, path) = written(3);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert_eq!(read_entries(&damaged).0.len(), 2, "byte {at}");
        }
    }

    #[test]
    fn a_write_on_a_full_disk_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.append(&Entry::Open(opening(1))).unwrap();
        let whole = std::mem::replace(&mut journal.file, OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert!(journal.append(&Entry::Open(opening(2))).is_err());
        journal.file = whole;
        journal.append(&Entry::Open(opening(3))).unwrap();
        assert_eq!(journal.entries_from(0).unwrap().len(), 2);
    }

    #[test]
    fn segments_are_dropped_whole() {
        let (folder, _) = written(2);
        let (mut journal, entries) = Journal::open(folder.path()).unwrap();
        assert_eq!(entries.len(), 2);
        journal.drop_before().unwrap();
        journal.rotate().unwrap();
        journal.append(&Entry::Open(opening(9))).unwrap();
        drop(journal);
        assert_eq!(Journal::open(folder.path()).unwrap().1.len(), 1);
    }
}
