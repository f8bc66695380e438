//! Files of the journal: segments that are appended to, read until they are imported, and then
//! dropped as a whole.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::{Disk, DiskFile},
    frame::Frame,
};

/// Error of reading or writing the journal.
#[derive(Debug, thiserror::Error)]
#[error("the usage journal at {path}: {source}")]
pub struct JournalError {
    path: PathBuf,
    source: io::Error,
}

/// A position in the journal, which stands for everything before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    segment: u64,
    offset: u64,
}

/// A segment from some position on. It stays readable after its file is dropped.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    segment: u64,
    file: Arc<dyn DiskFile>,
    from: u64,
    /// End of the valid data, or `None` for the end of the file.
    until: Option<u64>,
}

impl Stretch {
    /// Returns the current data. In the segment being written, the last frame may be incomplete.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let length = self.end()?.saturating_sub(self.from);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_at(&mut bytes, self.from)?;
        Ok(bytes)
    }

    /// Returns the position after this many bytes.
    pub(super) fn behind(&self, bytes: usize) -> Position {
        Position {
            segment: self.segment,
            offset: self.from + bytes as u64,
        }
    }

    /// Returns the part before a position.
    pub(super) fn before(mut self, position: Position) -> Self {
        if self.segment > position.segment {
            self.until = Some(self.from);
        } else if self.segment == position.segment {
            let until = self.until.unwrap_or(u64::MAX).min(position.offset);
            self.until = Some(until.max(self.from));
        }
        self
    }

    /// Returns the current end.
    pub(super) fn end_position(&self) -> io::Result<Position> {
        Ok(Position {
            segment: self.segment,
            offset: self.end()?,
        })
    }

    /// Makes the data written to it survive a power loss.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn end(&self) -> io::Result<u64> {
        let length = self.file.length()?;
        Ok(self.until.map_or(length, |until| until.min(length)))
    }
}

/// Segments of a journal, including the one being written.
#[derive(Debug)]
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Closed segments, oldest first.
    older: Vec<Stretch>,
    /// The segment being written. If it has an end, nothing is appended to it.
    current: Stretch,
    /// Number of the next segment. A file that was not created completely keeps its number.
    next: u64,
}

impl Journal {
    /// Opens the journal in `folder` with a new segment. Older ones stay until
    /// [`drop_before`](Self::drop_before).
    pub(super) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, JournalError> {
        let fail = |source| JournalError {
            path: folder.to_owned(),
            source,
        };
        disk.create_folder(folder).map_err(fail)?;
        let mut older = Vec::new();
        for (segment, path) in segments(&*disk, folder).map_err(fail)? {
            let file = disk
                .open(&path)
                .map_err(|source| JournalError { path, source })?;
            older.push(Stretch {
                segment,
                file,
                from: 0,
                until: None,
            });
        }
        let segment = older.last().map_or(1, |s| s.segment + 1);
        let current = create(&*disk, folder, segment).map_err(fail)?;
        Ok(Self {
            disk,
            folder: folder.to_owned(),
            older,
            current,
            next: segment + 1,
        })
    }

    /// Appends a frame with one `write`, which the kernel places at the end of the file as a whole,
    /// even if others append concurrently. A truncated write, as on a full disk, leaves a damaged
    /// range, which readers skip.
    pub(super) fn append(&self, frame: &Frame) -> io::Result<()> {
        if self.current.until.is_some() {
            return Err(io::Error::other("no new segment could be begun"));
        }
        let written = self.current.file.append(frame.bytes())?;
        if written < frame.bytes().len() {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "the disk accepted only part of a record",
            ));
        }
        Ok(())
    }

    /// Returns everything after a position, with a stretch for each segment.
    pub(super) fn since(&self, position: Position) -> Vec<Stretch> {
        let all = self
            .older
            .iter()
            .chain([&self.current])
            .filter(|s| s.segment >= position.segment);
        all.map(|s| Stretch {
            from: if s.segment == position.segment {
                position.offset
            } else {
                0
            },
            ..s.clone()
        })
        .collect()
    }

    /// Returns true if there is, or may be, data after a position.
    pub(super) fn reaches_beyond(&self, position: Position) -> bool {
        self.since(position)
            .iter()
            .any(|s| s.end().map_or(true, |end| end > s.from))
    }

    /// Returns the start of the current segment.
    pub(super) fn current_start(&self) -> Position {
        Position {
            segment: self.current.segment,
            offset: 0,
        }
    }

    /// Returns the segment being written.
    pub(super) fn current(&self) -> &Stretch {
        &self.current
    }

    /// Returns the length of the current segment, in bytes.
    pub(super) fn current_length(&self) -> u64 {
        self.current.end().unwrap_or(0)
    }

    /// Begins a new segment.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let segment = self.next;
        self.next += 1;
        let next = create(&*self.disk, &self.folder, segment)?;
        self.older.push(std::mem::replace(&mut self.current, next));
        Ok(())
    }

    /// Ends the current segment at `end`. Data after it is ignored, and nothing more is appended.
    pub(super) fn abandon(&mut self, end: Position) {
        self.current = self.current.clone().before(end);
    }

    /// Drops the segments that end before a position.
    pub(super) fn drop_before(&mut self, position: Position) -> io::Result<()> {
        while let Some(oldest) = self.older.first().filter(|s| s.segment < position.segment) {
            match self.disk.remove(&path(&self.folder, oldest.segment)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => self.older.remove(0),
            };
        }
        Ok(())
    }
}

fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("journal-{segment:012}"))
}

fn create(disk: &dyn Disk, folder: &Path, segment: u64) -> io::Result<Stretch> {
    let path = path(folder, segment);
    let file = disk.create(&path)?;
    // The name must survive a power loss, like the data.
    disk.sync_folder(folder).inspect_err(|_| {
        let _ = disk.remove(&path);
    })?;
    Ok(Stretch {
        segment,
        file,
        from: 0,
        until: None,
    })
}

fn segments(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for path in disk.list(folder)? {
        // Other files in the folder are ignored.
        let digits = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("journal-"))
            .filter(|d| d.len() == 12 && d.bytes().all(|b| b.is_ascii_digit()));
        if let Some(number) = digits.and_then(|d| d.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use anyrouter_core::{
        catalog::Protocol,
        ids::RequestId,
        key::KeyHash,
        time::Timestamp,
        usage::{Opening, Record},
    };

    use std::fs::{self, OpenOptions};

    use super::{
        super::{disk::FileSystem, frame::entries},
        *,
    };

    fn open(folder: &Path) -> Journal {
        Journal::open(Arc::new(FileSystem), folder).unwrap()
    }

    fn opening(n: u8) -> Opening {
        Opening {
            id: RequestId::new(Timestamp::from_millis(u64::from(n)), [n; 6]),
            account: "acc_1".into(),
            key_hash: KeyHash::from_bytes(&[n; 32]).unwrap(),
            at: Timestamp::from_millis(u64::from(n)),
            ip: None,
            inbound: Protocol::Chat,
            model_requested: Some("m".to_owned()),
            endpoint: None,
        }
    }

    fn record(n: u8) -> Frame {
        Frame::record(&Record::opened(opening(n))).unwrap()
    }

    fn journal(records: u8) -> (tempfile::TempDir, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        for n in 0..records {
            journal.append(&record(n)).unwrap();
        }
        (folder, journal)
    }

    fn bytes(journal: &Journal, from: Position) -> Vec<u8> {
        journal
            .since(from)
            .iter()
            .flat_map(|s| s.read().unwrap())
            .collect()
    }

    fn count(bytes: &[u8]) -> usize {
        entries(bytes).count()
    }

    #[test]
    fn what_was_appended_is_read_back_in_order() {
        let (folder, journal) = journal(5);
        drop(journal);
        let journal = open(folder.path());
        let all = bytes(&journal, Position::default());
        let ids: Vec<_> = entries(&all)
            .map(|e| {
                if let super::super::frame::Entry::Record(r) = e {
                    r.record().unwrap().id
                } else {
                    panic!("a record")
                }
            })
            .collect();
        assert_eq!(ids, (0..5).map(|i| opening(i).id).collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_tail_loses_the_torn_entry_alone_wherever_it_is_torn() {
        let (_folder, journal) = journal(3);
        let all = bytes(&journal, Position::default());
        let two = all.len() - record(2).bytes().len();
        for cut in two..all.len() {
            assert_eq!(count(&all[..cut]), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_byte_loses_its_own_record_and_no_other() {
        let (_folder, journal) = journal(3);
        let all = bytes(&journal, Position::default());
        for at in 0..all.len() {
            let mut damaged = all.clone();
            damaged[at] ^= 0x40;
            assert_eq!(count(&damaged), 2, "byte {at}");
        }
    }

    #[test]
    fn a_write_that_was_cut_short_costs_no_other_record() {
        let (_folder, mut journal) = journal(1);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let whole = std::mem::replace(&mut journal.current.file, Arc::new(full));
        assert!(journal.append(&record(2)).is_err());
        journal.current.file = whole;
        let cut = record(2).bytes()[..100].to_vec();
        journal.current.file.append(&cut).unwrap();
        journal.append(&record(3)).unwrap();
        assert_eq!(count(&bytes(&journal, Position::default())), 2);
    }

    #[test]
    fn what_many_append_at_once_stands_whole() {
        let (_folder, journal) = journal(0);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let journal = &journal;
                scope.spawn(move || (0..50).for_each(|_| journal.append(&record(n)).unwrap()));
            }
        });
        let all = bytes(&journal, Position::default());
        let mut found = entries(&all);
        assert_eq!(found.by_ref().count(), 400);
        assert_eq!(found.whole(), all.len(), "and nothing between");
    }

    #[test]
    fn what_is_whole_ends_before_a_frame_that_is_still_being_written() {
        let (_folder, journal) = journal(2);
        let all = bytes(&journal, Position::default());
        let mut found = entries(&all[..all.len() - 3]);
        assert_eq!(found.by_ref().count(), 1);
        assert_eq!(found.whole(), record(0).bytes().len());
    }

    #[test]
    fn segments_are_dropped_whole_and_stay_readable_for_who_is_reading() {
        let (folder, mut journal) = journal(2);
        let before = journal.since(Position::default());
        journal.rotate().unwrap();
        journal.append(&record(9)).unwrap();
        assert_eq!(
            count(&bytes(&journal, Position::default())),
            3,
            "from the beginning: both segments"
        );
        let end = before[0].behind(before[0].read().unwrap().len());
        assert_eq!(
            count(&bytes(&journal, end)),
            1,
            "from the end of the first: the second"
        );
        let start = journal.current_start();
        journal.drop_before(start).unwrap();
        assert_eq!(count(&before[0].read().unwrap()), 2);
        drop(journal);
        assert_eq!(count(&bytes(&open(folder.path()), Position::default())), 1);
    }

    #[test]
    fn what_else_lies_in_the_folder_is_left_alone() {
        let (folder, journal) = journal(2);
        drop(journal);
        for name in [
            "journal-5",
            "journal-+00000000009",
            "journal-18446744073709551615",
            "notes",
        ] {
            fs::write(folder.path().join(name), "not ours").unwrap();
        }
        fs::create_dir(folder.path().join("journal-000000000003")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("journal-000000000004")).unwrap();
        let opened = open(folder.path());
        assert_eq!(count(&bytes(&opened, Position::default())), 2);
    }

    #[test]
    fn a_long_stretch_of_garbage_is_passed_over_in_no_time() {
        let (_folder, journal) = journal(1);
        let (good, garbage) = (
            bytes(&journal, Position::default()),
            [0u8, 0, 0x0f, 0].repeat(1 << 19),
        );
        assert_eq!(count(&[good.clone(), garbage, good].concat()), 2);
    }

    #[test]
    fn a_position_within_a_segment_is_where_reading_goes_on() {
        let (_folder, journal) = journal(2);
        let all = journal.since(Position::default());
        let end = all[0].behind(all[0].read().unwrap().len());
        assert!(!journal.reaches_beyond(end));
        journal.append(&record(7)).unwrap();
        assert!(journal.reaches_beyond(end));
        assert_eq!(count(&bytes(&journal, end)), 1);
    }
}
