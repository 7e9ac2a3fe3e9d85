//! The work of a round.

/// Amount of work in a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Effort {
    /// Passes of a part over its rows in the first round, in the others, and of the coordinator over the hot rows at most.
    pub first: u32,
    pub passes: u32,
    pub hot: u32,
    /// Hot rows that come in a round, as a share of all rows, and as a multiple of the weights: about as many rows end inside their set.
    pub share: f64,
    pub multiple: f64,
    /// Share of the gap, of what an average row has now, up to which a row is left alone.
    pub tolerance: f64,
    /// Rounds in a row in which a hot row is at its optimum after which it goes home.
    pub calm: u8,
}

/// For rounds that cost messages, or a pass over a disk.
pub(super) const DEAR: Effort =
    Effort { first: 5, passes: 5, hot: 50, share: 0.03, multiple: f64::INFINITY, tolerance: 0.1, calm: 3 };
/// For rounds that cost little more than their visits.
pub(super) const CHEAP: Effort =
    Effort { first: 2, passes: 3, hot: 10, share: 0.03, multiple: 20.0, tolerance: 0.003, calm: u8::MAX };
