//! Slicing of strings and slices that panics in debug builds only.

use std::{fmt::Debug, slice::SliceIndex};

/// A string or slice with checked slicing.
pub(crate) trait Part {
    /// Returns the part in `range`. A range out of bounds is a bug in the caller: debug builds
    /// panic, and release builds return an empty part.
    #[track_caller]
    fn part<R: SliceIndex<Self, Output = Self> + Clone + Debug>(&self, range: R) -> &Self;
}

impl Part for str {
    #[inline]
    #[track_caller]
    fn part<R: SliceIndex<Self, Output = Self> + Clone + Debug>(&self, range: R) -> &Self {
        let part = self.get(range.clone());
        debug_assert!(part.is_some(), "no part {range:?} of {} bytes", self.len());
        part.unwrap_or_default()
    }
}

impl<T> Part for [T] {
    #[inline]
    #[track_caller]
    fn part<R: SliceIndex<Self, Output = Self> + Clone + Debug>(&self, range: R) -> &Self {
        let part = self.get(range.clone());
        debug_assert!(part.is_some(), "no part {range:?} of {} items", self.len());
        part.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_lies_in_its_range() {
        assert_eq!("naïve".part(2..4), "ï");
        assert_eq!([1, 2, 3].part(1..), [2, 3]);
        assert_eq!("x".part(1..), "");
    }

    #[test]
    #[should_panic(expected = "no part 3.. of 6 bytes")]
    fn tests_see_a_range_that_is_not_there() {
        let _ = "naïve".part(3..);
    }
}
