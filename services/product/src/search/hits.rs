//! Word matches in the index: exact, by prefix, or with typos. Closer matches score more.
//!
//! The dictionary is searched for the terms that match each word. A product matches if it has a term of every word, so
//! the word with the fewest postings proposes candidates, and the lists of the others are only looked up at these. A word
//! that every product has therefore costs little beside a rare one. A score is a whole number that depends on the kind
//! of match, and is higher for rare words and short names.

use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{SegmentPostings, TermInfo};
use tantivy::query::{DfaWrapper, FuzzyTermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, InvertedIndexReader, Searcher, SegmentReader, TERMINATED, Term};

use super::values::index;

/// Maximum terms of the dictionary that a search word matches by prefix, and again with typos.
const MAX_TERMS: usize = 2_000;
/// Added for every matching word, so that the number of matching words outweighs how well they match.
const WORD_SCORE: u32 = 1 << 24;
/// A posting list that is this many times as long as the list of candidates is searched for each of them; a shorter one
/// is read to its end.
const SEEK_FACTOR: usize = 8;

/// The searched fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) id: Field,
    pub(super) sku: Field,
    pub(super) name: Field,
    pub(super) text: Field,
}

/// The scores of matches in a field. Matches with typos are not searched if they score 0.
#[derive(Clone, Copy)]
struct MatchScores {
    exact: u32,
    prefix: u32,
    typo: u32,
}

const SKU: MatchScores = MatchScores { exact: 1_200, prefix: 500, typo: 0 };
const NAME: MatchScores = MatchScores { exact: 800, prefix: 400, typo: 200 };
const TEXT: MatchScores = MatchScores { exact: 250, prefix: 120, typo: 60 };

/// A segment of the index.
struct Segment {
    reader: SegmentReader,
    /// The product id of every document.
    ids: Vec<u32>,
    /// SKUs, names and texts.
    fields: [SearchedField; 3],
}

/// The dictionary and the postings of a field.
struct SearchedField {
    index: Arc<InvertedIndexReader>,
    scores: MatchScores,
    /// The numbers of words in names. Short ones score up to half as much again.
    lengths: Option<FieldNormReader>,
}

/// A term that matches a word in a field of a segment.
struct Match<'s> {
    field: &'s SearchedField,
    term: TermInfo,
    score: u32,
}

/// The index as of a commit.
pub(super) struct Snapshot {
    segments: Vec<Segment>,
    products: u64,
}

impl Snapshot {
    /// Opens every segment and reads the ids of its documents.
    pub(super) fn new(searcher: &Searcher, fields: Fields) -> tantivy::Result<Self> {
        let segments = searcher.segment_readers().iter().map(|reader| Segment::open(reader, fields));
        Ok(Self { segments: segments.collect::<tantivy::Result<_>>()?, products: searcher.num_docs().max(1) })
    }

    /// The score and id of every product that matches all words, or if none does, of every one that matches any.
    pub(super) fn hits(&self, words: &[String]) -> tantivy::Result<Vec<(u32, u32)>> {
        let words = words.iter().map(|word| self.word(word)).collect::<tantivy::Result<Vec<_>>>()?;
        let mut hits = Vec::new();
        for segment in &self.segments {
            segment.matching_all(&words, &mut hits)?;
        }
        if hits.is_empty() {
            for segment in &self.segments {
                segment.matching_any(&words, &mut hits)?;
            }
        }
        Ok(hits)
    }

    fn word<'w>(&self, text: &'w str) -> tantivy::Result<Word<'w>> {
        let mut frequencies = [0_u64; 3];
        for segment in &self.segments {
            for (field, frequency) in segment.fields.iter().zip(&mut frequencies) {
                *frequency += field.index.terms().get(text)?.map_or(0, |term| u64::from(term.doc_freq));
            }
        }
        let frequency = frequencies.into_iter().fold(1, u64::max);
        let rarity = (self.products / frequency).checked_ilog2().unwrap_or(0);
        Ok(Word { text, rarity, typos: typo_automaton(text)? })
    }
}

/// A search word.
struct Word<'w> {
    text: &'w str,
    /// 0 if more than half of the products have the word in one field, and 1 more for each halving.
    rarity: u32,
    /// Recognises words that differ from this one by typos. `None` for short words and those with digits.
    typos: Option<DfaWrapper>,
}

fn typo_automaton(word: &str) -> tantivy::Result<Option<DfaWrapper>> {
    let letters = word.chars().count();
    if letters < 4 || word.chars().any(|c| c.is_ascii_digit()) {
        return Ok(None);
    }
    let distance = if letters >= 8 { 2 } else { 1 };
    // The automaton depends on the text alone, not on the field.
    let term = Term::from_field_text(Field::from_field_id(0), word);
    FuzzyTermQuery::new(term, distance, true).automaton().map(Some)
}

impl Segment {
    fn open(reader: &SegmentReader, fields: Fields) -> tantivy::Result<Self> {
        let column = reader.fast_fields().u64("id")?;
        let id = |doc| column.first(doc).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let lengths = Some(reader.get_fieldnorms_reader(fields.name)?);
        Ok(Self {
            ids: (0..reader.max_doc()).map(id).collect(),
            fields: [
                SearchedField { index: reader.inverted_index(fields.sku)?, scores: SKU, lengths: None },
                SearchedField { index: reader.inverted_index(fields.name)?, scores: NAME, lengths },
                SearchedField { index: reader.inverted_index(fields.text)?, scores: TEXT, lengths: None },
            ],
            reader: reader.clone(),
        })
    }

    /// The terms that match a word, by every kind of match that scores.
    fn find(&self, word: &Word<'_>) -> tantivy::Result<Vec<Match<'_>>> {
        let mut found = Vec::new();
        let text = word.text.as_bytes();
        for field in &self.fields {
            let (scores, terms) = (&field.scores, field.index.terms());
            let mut push = |term: &TermInfo, score: u32| {
                found.push(Match { field, term: term.clone(), score: score * (4 + word.rarity) });
            };
            if let Some(exact) = terms.get(text)? {
                push(&exact, scores.exact);
            }
            let mut prefixed = terms.range().gt(text).into_stream()?;
            for _ in 0..MAX_TERMS {
                match prefixed.next() {
                    Some((key, term)) if key.starts_with(text) => push(term, scores.prefix),
                    _ => break,
                }
            }
            let Some(typos) = word.typos.as_ref().filter(|_| scores.typo > 0) else { continue };
            let mut similar = terms.search(typos).into_stream()?;
            for _ in 0..MAX_TERMS {
                match similar.next() {
                    Some((key, _)) if key.starts_with(text) => {}
                    Some((_, term)) => push(term, scores.typo),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// Adds the products that match all words.
    fn matching_all(&self, words: &[Word<'_>], hits: &mut Vec<(u32, u32)>) -> tantivy::Result<()> {
        let words = words.iter().map(|word| self.find(word));
        let mut words = words.collect::<tantivy::Result<Vec<_>>>()?;
        words.sort_by_cached_key(|matches| count_postings(matches));
        let Some((rarest, others)) = words.split_first() else { return Ok(()) };
        let mut candidates = self.best_matches(rarest)?;
        for matches in others {
            candidates = narrow(&candidates, matches)?;
        }
        hits.extend(candidates.into_iter().filter_map(|(doc, score)| self.hit(doc, score)));
        Ok(())
    }

    /// Adds the products that match any word.
    fn matching_any(&self, words: &[Word<'_>], hits: &mut Vec<(u32, u32)>) -> tantivy::Result<()> {
        let mut totals = vec![0_u32; self.ids.len()];
        for word in words {
            for (doc, score) in self.best_matches(&self.find(word)?)? {
                if let Some(total) = totals.get_mut(index(doc)) {
                    *total += score;
                }
            }
        }
        let found = (0..).zip(totals).filter(|(_, score)| *score > 0);
        hits.extend(found.filter_map(|(doc, score)| self.hit(doc, score)));
        Ok(())
    }

    /// The score and product id of a document, unless it is deleted.
    fn hit(&self, doc: u32, score: u32) -> Option<(u32, u32)> {
        let id = self.ids.get(index(doc)).filter(|_| !self.reader.is_deleted(doc))?;
        Some((score, *id))
    }

    /// The documents of a word's matches in ascending order, each with the score of its best match.
    fn best_matches(&self, matches: &[Match<'_>]) -> tantivy::Result<Vec<(u32, u32)>> {
        let count = count_postings(matches);
        if count * SEEK_FACTOR < self.ids.len() {
            let mut scores = Vec::with_capacity(count);
            for found in matches {
                found.each(|doc, score| scores.push((doc, WORD_SCORE + score)))?;
            }
            scores.sort_unstable_by_key(|(doc, score)| (*doc, !score));
            scores.dedup_by_key(|(doc, _)| *doc);
            return Ok(scores);
        }
        let mut best = vec![0_u32; self.ids.len()];
        for found in matches {
            found.each(|doc, score| {
                if let Some(best) = best.get_mut(index(doc)) {
                    *best = score.max(*best);
                }
            })?;
        }
        let found = (0..).zip(best).filter(|(_, score)| *score > 0);
        Ok(found.map(|(doc, score)| (doc, WORD_SCORE + score)).collect())
    }
}

/// The number of postings of all matches together.
fn count_postings(matches: &[Match<'_>]) -> usize {
    matches.iter().map(Match::len).sum()
}

/// The candidates that another word matches too, with its score added. Candidates are documents in ascending order, with
/// their scores.
fn narrow(candidates: &[(u32, u32)], matches: &[Match<'_>]) -> tantivy::Result<Vec<(u32, u32)>> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let mut best = vec![0_u32; candidates.len()];
    for found in matches {
        if found.len() > candidates.len() * SEEK_FACTOR {
            let mut postings = found.postings()?;
            for ((doc, _), best) in candidates.iter().zip(&mut best) {
                if postings.doc() < *doc {
                    postings.seek(*doc);
                }
                if postings.doc() == *doc {
                    *best = found.score_in(*doc).max(*best);
                }
            }
        } else {
            let mut rest = candidates.iter().zip(&mut best).peekable();
            found.each(|doc, score| {
                while rest.next_if(|((candidate, _), _)| *candidate < doc).is_some() {}
                if let Some((_, best)) = rest.next_if(|((candidate, _), _)| *candidate == doc) {
                    *best = score.max(*best);
                }
            })?;
        }
    }
    let found = candidates.iter().zip(best).filter(|(_, best)| *best > 0);
    Ok(found.map(|((doc, score), best)| (*doc, score + WORD_SCORE + best)).collect())
}

impl Match<'_> {
    /// The number of documents.
    fn len(&self) -> usize {
        index(self.term.doc_freq)
    }

    fn postings(&self) -> tantivy::Result<SegmentPostings> {
        Ok(self.field.index.read_postings_from_terminfo(&self.term, IndexRecordOption::Basic)?)
    }

    /// Visits each document in ascending order, with its score.
    fn each(&self, mut visit: impl FnMut(u32, u32)) -> tantivy::Result<()> {
        let mut postings = self.postings()?;
        while postings.doc() != TERMINATED {
            visit(postings.doc(), self.score_in(postings.doc()));
            postings.advance();
        }
        Ok(())
    }

    /// The score in a document.
    fn score_in(&self, doc: u32) -> u32 {
        let bonus = self.field.lengths.as_ref().map_or(0, |lengths| self.score / (lengths.fieldnorm(doc) + 1));
        self.score + bonus
    }
}
