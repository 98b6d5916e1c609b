//! The full-text index: names, SKUs and texts of products, in memory or in a directory that may be thrown away.
//!
//! It holds ids and words only. What it finds is filtered by the projection and read from rows.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use promox_contract::ids::ProductId;
use promox_kernel::Error;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::directory::MmapDirectory;
use tantivy::query::{BooleanQuery, BoostQuery, FuzzyTermQuery, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{
    DocId, Index, IndexReader, IndexWriter, ReloadPolicy, Score, SegmentOrdinal, SegmentReader, TantivyDocument, Term,
};

use crate::records::Product;
use crate::rules::analyzer;

/// What the writer may hold before it writes a segment: the least that tantivy takes.
const WRITER_MEMORY: usize = 15_000_000;
/// Characters of a description that are searched.
const LONGEST_TEXT: usize = 4_000;
/// The name of the tokenizer in the schema.
const WORDS: &str = "words";

/// Where the index is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexPlace {
    /// In memory: built anew at each start.
    Memory,
    /// In a directory of its own, which is emptied when it does not open.
    Directory(PathBuf),
}

/// The index with its writer and the reader of its last commit.
pub(crate) struct SearchIndex {
    fields: Fields,
    index: Index,
    reader: IndexReader,
    /// Made with the first document: an empty shop has no writer's threads.
    writer: Mutex<Option<IndexWriter>>,
    generation: AtomicU64,
    epoch: AtomicI64,
    dirty: AtomicBool,
}

impl fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an index at epoch {}", self.epoch.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy)]
struct Fields {
    id: Field,
    sku: Field,
    name: Field,
    text: Field,
}

impl SearchIndex {
    /// Opens or makes the index.
    pub(crate) fn open(place: &IndexPlace) -> Result<Self, Error> {
        let opened = match place {
            IndexPlace::Memory => Self::make(None),
            IndexPlace::Directory(path) => Self::make(Some(path)).or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "the search index is made anew");
                let _ = std::fs::remove_dir_all(path);
                Self::make(Some(path))
            }),
        };
        opened.map_err(Error::internal)
    }

    fn make(path: Option<&PathBuf>) -> tantivy::Result<Self> {
        let (schema, fields) = schema();
        let index = match path {
            None => Index::create_in_ram(schema),
            Some(path) => {
                std::fs::create_dir_all(path)?;
                Index::open_or_create(MmapDirectory::open(path)?, schema)?
            }
        };
        index.tokenizers().register(WORDS, analyzer());
        let reader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(1).try_into()?;
        let epoch = index.load_metas()?.payload.and_then(|payload| payload.parse().ok()).unwrap_or(0);
        Ok(Self {
            fields,
            index,
            reader,
            writer: Mutex::new(None),
            generation: AtomicU64::new(1),
            epoch: AtomicI64::new(epoch),
            dirty: AtomicBool::new(false),
        })
    }

    /// The catalogue's epoch up to which every product is in the last commit.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Counts commits: results of words hold as long as it stands.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether something waits for a commit.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Forgets everything: the index is of another catalogue.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.with_writer(|writer| writer.delete_all_documents().map(drop))?;
        self.epoch.store(0, Ordering::Release);
        Ok(())
    }

    /// Takes products as they now are, into the next commit.
    pub(crate) fn put(&self, products: &[Product]) -> Result<(), Error> {
        if products.is_empty() {
            return Ok(());
        }
        self.with_writer(|writer| {
            for product in products {
                let id = key(product.id);
                writer.delete_term(Term::from_field_u64(self.fields.id, id));
                writer.add_document(self.document(id, product))?;
            }
            Ok(())
        })
    }

    fn with_writer(&self, work: impl FnOnce(&IndexWriter) -> tantivy::Result<()>) -> Result<(), Error> {
        let mut kept = self.writer.lock();
        if kept.is_none() {
            *kept = Some(self.index.writer_with_num_threads(1, WRITER_MEMORY).map_err(Error::internal)?);
        }
        if let Some(writer) = kept.as_ref() {
            work(writer).map_err(Error::internal)?;
            self.dirty.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Makes what was put visible; every product up to `epoch` is among it.
    pub(crate) fn commit(&self, epoch: i64) -> Result<(), Error> {
        let mut kept = self.writer.lock();
        let Some(writer) = kept.as_mut() else { return Ok(()) };
        self.dirty.store(false, Ordering::Release);
        let commit = |writer: &mut IndexWriter| -> tantivy::Result<()> {
            let mut prepared = writer.prepare_commit()?;
            prepared.set_payload(&epoch.to_string());
            prepared.commit()?;
            self.reader.reload()
        };
        commit(writer).map_err(Error::internal)?;
        self.epoch.store(epoch, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn document(&self, id: u64, product: &Product) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_u64(self.fields.id, id);
        document.add_text(self.fields.name, &product.name);
        document.add_text(self.fields.sku, product.sku.as_str());
        let description = product.description.chars().take(LONGEST_TEXT).collect::<String>();
        document.add_text(self.fields.text, description);
        for value in product.attributes.values() {
            document.add_text(self.fields.text, value);
        }
        for variant in product.variants.iter() {
            document.add_text(self.fields.sku, variant.sku.as_str());
            document.add_text(self.fields.text, &variant.name);
            for value in variant.options.values() {
                document.add_text(self.fields.text, value);
            }
            if let Some(barcode) = &variant.barcode {
                document.add_text(self.fields.sku, barcode);
            }
        }
        document
    }

    /// Every product that has all of the words, with its score; when none has, those that have any.
    pub(crate) fn hits(&self, words: &[String]) -> Result<Vec<(f32, ProductId)>, Error> {
        let searcher = self.reader.searcher();
        for occur in [Occur::Must, Occur::Should] {
            let clauses = words.iter().map(|word| (occur, self.word(word))).collect::<Vec<_>>();
            let hits = searcher.search(&BooleanQuery::new(clauses), &Hits).map_err(Error::internal)?;
            if !hits.is_empty() || words.len() < 2 {
                return Ok(hits);
            }
        }
        Ok(Vec::new())
    }

    /// A word as it stands, as the beginning of one, or mistyped: the truer, the more it weighs.
    fn word(&self, word: &str) -> Box<dyn Query> {
        let Fields { sku, name, text, .. } = self.fields;
        let term = |field| Term::from_field_text(field, word);
        let exact = |field, weight| -> Box<dyn Query> {
            let query = TermQuery::new(term(field), IndexRecordOption::WithFreqs);
            Box::new(BoostQuery::new(Box::new(query), weight))
        };
        let begins = |field, weight| -> Box<dyn Query> {
            Box::new(BoostQuery::new(Box::new(FuzzyTermQuery::new_prefix(term(field), 0, false)), weight))
        };
        let mistyped = |field, distance, weight| -> Box<dyn Query> {
            Box::new(BoostQuery::new(Box::new(FuzzyTermQuery::new(term(field), distance, true)), weight))
        };
        let mut ways = vec![exact(sku, 8.0), exact(name, 3.0), exact(text, 1.0), begins(sku, 2.0), begins(name, 1.0)];
        let letters = word.chars().count();
        if letters >= 3 {
            ways.push(begins(text, 0.3));
        }
        if letters >= 4 && !word.chars().any(|c| c.is_ascii_digit()) {
            let distance = if letters >= 8 { 2 } else { 1 };
            ways.push(mistyped(name, distance, 0.5));
            ways.push(mistyped(text, 1, 0.1));
        }
        Box::new(BooleanQuery::new(ways.into_iter().map(|way| (Occur::Should, way)).collect()))
    }
}

/// An id as the index keeps it.
fn key(id: ProductId) -> u64 {
    id.0.unsigned_abs()
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = |record| {
        TextOptions::default()
            .set_indexing_options(TextFieldIndexing::default().set_tokenizer(WORDS).set_index_option(record))
    };
    let fields = Fields {
        id: schema.add_u64_field("id", INDEXED | FAST),
        sku: schema.add_text_field("sku", words(IndexRecordOption::WithFreqs)),
        name: schema.add_text_field("name", words(IndexRecordOption::WithFreqs)),
        text: schema.add_text_field("text", words(IndexRecordOption::WithFreqs)),
    };
    (schema.build(), fields)
}

/// Collects every hit with its score and id.
struct Hits;

struct SegmentHits {
    ids: Column<u64>,
    hits: Vec<(f32, ProductId)>,
}

impl Collector for Hits {
    type Fruit = Vec<(f32, ProductId)>;
    type Child = SegmentHits;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentHits> {
        Ok(SegmentHits { ids: segment.fast_fields().u64("id")?, hits: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        Ok(segments.concat())
    }
}

impl SegmentCollector for SegmentHits {
    type Fruit = Vec<(f32, ProductId)>;

    fn collect(&mut self, doc: DocId, score: Score) {
        if let Some(id) = self.ids.first(doc) {
            self.hits.push((score, ProductId(id.cast_signed())));
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.hits
    }
}
