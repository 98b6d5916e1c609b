//! What adds up.

/// Sums that can be added to each other and taken away again; the sum of nothing is the default.
pub(crate) trait Sum: Clone + Default + PartialEq {
    /// Adds `other`.
    fn add(&mut self, other: &Self);

    /// The same, to be taken away.
    fn negated(&self) -> Self;

    /// Whether it is the sum of nothing.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A struct adds up member by member.
macro_rules! adds_up {
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
pub(crate) use adds_up;
