//! What follows what, for the floor.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One execution's stages, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Shape {
    /// So many, one after the other.
    Chain(u32),
    /// One, so many behind it, and a join.
    Fan(u32),
}

/// One stage of one execution, as messages carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) execution: u64,
    pub(super) number: u32,
    pub(super) is_last: bool,
}

/// What has to happen once a stage has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// These numbers follow, from the first to before the second.
    Stages(u32, u32),
    /// The join, once it was the last branch.
    Join(u32),
    /// The execution has ended.
    End,
}

impl Shape {
    pub(super) fn stages(self) -> usize {
        match self {
            Self::Chain(stages) => stages as usize,
            Self::Fan(branches) => branches as usize + 2,
        }
    }

    pub(super) fn after(self, number: u32) -> Next {
        match self {
            Self::Chain(stages) if number + 1 < stages => Next::Stages(number + 1, number + 2),
            Self::Fan(branches) if number == 0 => Next::Stages(1, branches + 1),
            Self::Fan(branches) if number <= branches => Next::Join(branches + 1),
            Self::Chain(_) | Self::Fan(_) => Next::End,
        }
    }

    /// How many branches a join waits for.
    pub(super) fn branches(self) -> u32 {
        match self {
            Self::Chain(_) => 0,
            Self::Fan(branches) => branches,
        }
    }

    pub(super) fn stage(self, execution: u64, number: u32) -> Stage {
        Stage { execution, number, is_last: self.after(number) == Next::End }
    }
}

impl Stage {
    pub(super) fn to_bytes(self) -> [u8; 13] {
        let mut bytes = [0; 13];
        bytes[..8].copy_from_slice(&self.execution.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_be_bytes());
        bytes[12] = u8::from(self.is_last);
        bytes
    }

    pub(super) fn of(bytes: &[u8]) -> Result<Self> {
        let bytes: [u8; 13] = bytes.try_into().context("a message of another length")?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, is_last] = bytes;
        let execution = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Ok(Self { execution, number: u32::from_be_bytes([i, j, k, l]), is_last: is_last == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fan_has_a_root_and_a_join() {
        let fan = Shape::Fan(100);
        assert_eq!(fan.stages(), 102);
        assert_eq!(fan.after(0), Next::Stages(1, 101));
        assert_eq!(fan.after(100), Next::Join(101));
        assert_eq!(fan.after(101), Next::End);
    }

    #[test]
    fn a_chain_ends_with_its_last() {
        assert_eq!(Shape::Chain(1).after(0), Next::End);
        assert_eq!(Shape::Chain(10).after(8), Next::Stages(9, 10));
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let stage = Shape::Chain(2).stage(1 << 40, 1);
        assert_eq!(Stage::of(&stage.to_bytes()).unwrap(), stage);
        assert!(stage.is_last);
        assert!(Stage::of(b"short").is_err());
    }
}
