//! Values that can be summed.

/// A value that can be added to another and subtracted again. The default value is the empty sum.
pub(crate) trait Sum: Clone + Default + PartialEq {
    /// Adds `other`.
    fn add(&mut self, other: &Self);

    /// The negated value: adding it subtracts the value.
    fn negated(&self) -> Self;

    /// Whether the value is the empty sum.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a value is added or subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    /// The sum with this sign.
    pub(crate) fn apply<S: Sum>(self, sum: &S) -> S {
        match self {
            Self::Plus => sum.clone(),
            Self::Minus => sum.negated(),
        }
    }
}

/// Implements [`Sum`] for a struct, member by member.
macro_rules! impl_sum {
    ($sum:ty: $($member:ident),+ $(,)?) => {
        impl $crate::rules::sum::Sum for $sum {
            fn add(&mut self, other: &Self) {
                $(self.$member += other.$member;)+
            }

            fn negated(&self) -> Self {
                Self { $($member: -self.$member,)+ }
            }
        }
    };
}
pub(crate) use impl_sum;
