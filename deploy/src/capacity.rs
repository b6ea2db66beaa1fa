//! How many instances a server group is to have.

use serde::{Deserialize, Serialize};

/// Least, most and wanted number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Least.
    pub min: u32,
    /// Most.
    pub max: u32,
    /// Wanted.
    pub desired: u32,
}

impl Capacity {
    /// The same number three times.
    pub fn exactly(count: u32) -> Self {
        Self { min: count, max: count, desired: count }
    }

    /// # Errors
    /// What does not fit.
    pub fn check(self, limit: u32) -> Result<Self, String> {
        let Self { min, max, desired } = self;
        if min > desired || desired > max {
            return Err(format!(
                "`capacity` is min {min}, desired {desired}, max {max}; it must be min ≤ desired ≤ max"
            ));
        }
        if desired > limit {
            return Err(format!(
                "`capacity.desired` is {desired}, the limit is {limit} (instances_max); ask for fewer"
            ));
        }
        Ok(self)
    }
}

/// How a resize says what it wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resize {
    /// This.
    Exact(Capacity),
    /// So many more, or fewer if negative.
    By(i64),
    /// So many percent more, or fewer if negative; at least one instance.
    ByPercent(f64),
}

impl Resize {
    /// What the server group is to have then.
    pub fn of(self, now: Capacity) -> Capacity {
        match self {
            Self::Exact(capacity) => capacity,
            Self::By(step) => moved(now, step),
            Self::ByPercent(percent) => moved(now, share(now.desired, percent)),
        }
    }
}

/// Rounded away from zero, so that something happens.
fn share(count: u32, percent: f64) -> i64 {
    let exact = f64::from(count) * percent / 100.0;
    let away = if exact < 0.0 { exact.floor() } else { exact.ceil() };
    format!("{away:.0}").parse().unwrap_or(0)
}

fn moved(now: Capacity, step: i64) -> Capacity {
    let desired = (i64::from(now.desired)).saturating_add(step).clamp(0, i64::from(u32::MAX));
    let desired = u32::try_from(desired).unwrap_or(u32::MAX);
    Capacity { min: now.min.min(desired), max: now.max.max(desired), desired }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resize_moves_the_wanted_number_and_its_bounds() {
        let now = Capacity::exactly(4);
        assert_eq!(Resize::By(2).of(now), Capacity { min: 4, max: 6, desired: 6 });
        assert_eq!(Resize::By(-9).of(now), Capacity { min: 0, max: 4, desired: 0 });
        assert_eq!(Resize::ByPercent(10.0).of(now).desired, 5);
        assert_eq!(Resize::ByPercent(-30.0).of(now).desired, 2);
        assert_eq!(Resize::Exact(Capacity::exactly(1)).of(now).desired, 1);
    }

    #[test]
    fn a_capacity_fits_itself_and_the_limit() {
        assert!(Capacity::exactly(50).check(50).is_ok());
        assert!(Capacity::exactly(51).check(50).unwrap_err().contains("instances_max"));
        assert!(Capacity { min: 2, max: 3, desired: 1 }.check(50).is_err());
    }
}
