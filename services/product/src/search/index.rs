//! The full-text index over names, SKUs and texts of products, in memory or in a directory that may be deleted.
//!
//! It contains ids and words only. Its hits are filtered by the projection and read from rows.

use std::fmt;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use promox_contract::ids::ProductId;
use promox_kernel::Error;
use tantivy::directory::MmapDirectory;
use tantivy::schema::{FAST, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

use super::hits::{Fields, Snapshot};
use crate::records::Product;
use crate::rules::analyzer;

/// Bytes of the writer's buffer: tantivy's minimum.
const WRITER_MEMORY: usize = 15_000_000;
/// Maximum characters of a description that are indexed.
const MAX_DESCRIPTION_LEN: usize = 4_000;
/// The name of the tokenizer in the schema.
const WORDS: &str = "words";

/// Where the index is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexPlace {
    /// In memory: rebuilt at each start.
    Memory,
    /// In a directory of its own, which is cleared if it cannot be opened.
    Directory(PathBuf),
}

/// The index, with its writer and a snapshot of its latest commit.
pub(crate) struct SearchIndex {
    fields: Fields,
    index: Index,
    reader: IndexReader,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Created with the first document: an empty shop has no writer threads.
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

impl SearchIndex {
    /// Opens or creates the index. A directory that cannot be opened is deleted and created again.
    pub(crate) fn open(place: &IndexPlace) -> Result<Self, Error> {
        let opened = match place {
            IndexPlace::Memory => Self::open_at(None),
            IndexPlace::Directory(path) => Self::open_at(Some(path)).or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "rebuilding the search index");
                let _ = std::fs::remove_dir_all(path);
                Self::open_at(Some(path))
            }),
        };
        opened.map_err(Error::internal)
    }

    fn open_at(path: Option<&PathBuf>) -> tantivy::Result<Self> {
        let (schema, fields) = schema();
        let index = match path {
            None => Index::create_in_ram(schema),
            Some(path) => {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
                Index::open_or_create(MmapDirectory::open(path)?, schema)?
            }
        };
        index.tokenizers().register(WORDS, analyzer());
        let reader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(1).try_into()?;
        let epoch = index.load_metas()?.payload.and_then(|payload| payload.parse().ok()).unwrap_or(0);
        Ok(Self {
            snapshot: RwLock::new(Arc::new(Snapshot::new(&reader.searcher(), fields)?)),
            fields,
            index,
            reader,
            writer: Mutex::new(None),
            generation: AtomicU64::new(1),
            epoch: AtomicI64::new(epoch),
            dirty: AtomicBool::new(false),
        })
    }

    /// The catalog epoch up to which every product is in the latest commit.
    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The number of commits. Results of word searches are valid while it is unchanged.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether there are changes that are not committed.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Removes all documents: for an index that belongs to another catalog.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.with_writer(|writer| writer.delete_all_documents().map(drop))?;
        self.epoch.store(0, Ordering::Release);
        Ok(())
    }

    /// Adds the current state of products to the next commit.
    pub(crate) fn put(&self, products: &[Product]) -> Result<(), Error> {
        if products.is_empty() {
            return Ok(());
        }
        self.with_writer(|writer| {
            for product in products {
                let id = index_id(product.id);
                writer.delete_term(Term::from_field_u64(self.fields.id, id));
                writer.add_document(self.document(id, product))?;
            }
            Ok(())
        })
    }

    fn with_writer(&self, work: impl FnOnce(&IndexWriter) -> tantivy::Result<()>) -> Result<(), Error> {
        let mut slot = self.writer.lock();
        if slot.is_none() {
            *slot = Some(self.index.writer_with_num_threads(1, WRITER_MEMORY).map_err(Error::internal)?);
        }
        if let Some(writer) = slot.as_ref() {
            work(writer).map_err(Error::internal)?;
            self.dirty.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Commits the changes so far, which include every product up to `epoch`.
    pub(crate) fn commit(&self, epoch: i64) -> Result<(), Error> {
        let mut slot = self.writer.lock();
        let Some(writer) = slot.as_mut() else { return Ok(()) };
        self.dirty.store(false, Ordering::Release);
        let commit = |writer: &mut IndexWriter| -> tantivy::Result<()> {
            let mut prepared = writer.prepare_commit()?;
            prepared.set_payload(&epoch.to_string());
            prepared.commit()?;
            self.reader.reload()?;
            let snapshot = Arc::new(Snapshot::new(&self.reader.searcher(), self.fields)?);
            *self.snapshot.write() = snapshot;
            Ok(())
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
        let description = product.description.chars().take(MAX_DESCRIPTION_LEN).collect::<String>();
        document.add_text(self.fields.text, description);
        for value in product.attributes.values() {
            document.add_text(self.fields.text, value);
        }
        for variant in product.variants.iter() {
            document.add_text(self.fields.sku, variant.sku.as_str());
            for former in &variant.former {
                document.add_text(self.fields.sku, former.as_str());
            }
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

    /// The scores and ids of the products that match all words, or if none does, of those that match any.
    pub(crate) fn hits(&self, words: &[String]) -> Result<Vec<(u32, u32)>, Error> {
        let snapshot = self.snapshot.read().clone();
        snapshot.hits(words).map_err(Error::internal)
    }
}

/// A product's id as the index stores it.
fn index_id(id: ProductId) -> u64 {
    id.0.unsigned_abs()
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = TextFieldIndexing::default().set_tokenizer(WORDS).set_index_option(IndexRecordOption::Basic);
    let words = TextOptions::default().set_indexing_options(words);
    let fields = Fields {
        id: schema.add_u64_field("id", INDEXED | FAST),
        sku: schema.add_text_field("sku", words.clone()),
        name: schema.add_text_field("name", words.clone()),
        text: schema.add_text_field("text", words),
    };
    (schema.build(), fields)
}
