//! The handlers: each authorises, makes one read or write, and renders the reply.

use promox_contract::import::ImportReport;
use promox_contract::product::{
    DescribeForSale, DescribeSkus, FindUsedTaxClasses, ResolveSkus, ResolvedSkus, SkuDescriptions, TaxClassUse,
    TaxClassUses,
};
use promox_contract::store::write_amounts;
use promox_kernel::{Access, Cx, Download, Error, Handle};
use promox_storage::Tx;

use crate::api::{
    ArchiveProduct, CategoryTree, CategoryView, CreateCategory, CreateProduct, DeleteCategory, ExportProducts,
    GetCategory, GetProduct, GetProductBySku, GetProductBySlug, ImportProducts, ListCategories, ListProducts,
    ProductChange, ProductList, ProductPage, ProductStatus, ProductView, Sort, SuggestProducts, Suggestions,
    UpdateCategory, UpdateProduct,
};
use crate::commands;
use crate::queries::{product_of_sku, resolve};
use crate::records::{Category, Product, ProductBySlug, ProductByTaxClass};
use crate::rules::{Tree, VariantPrices};
use crate::search::{Query, ResultSet};
use crate::{Products, READ, checks, shelf, transfer, tree};

impl Handle<ListProducts> for Products {
    async fn handle(&self, cx: &Cx, op: ListProducts) -> Result<ProductList, Error> {
        let status = match op.status {
            Some(status) if status != ProductStatus::Active => {
                Access::Permission(READ).check(cx)?;
                Some(status)
            }
            None if cx.principal.allows(READ) => None,
            _ => Some(ProductStatus::Active),
        };
        if op.sort == Some(Sort::Relevance) && op.q.as_deref().is_none_or(|q| q.trim().is_empty()) {
            return Err(Error::field("?sort", "relevance needs q: give search words, or sort by something else"));
        }
        checks::check_prices(cx, &op).await?;
        self.list(cx, &op, status).await
    }
}

impl Handle<SuggestProducts> for Products {
    async fn handle(&self, cx: &Cx, op: SuggestProducts) -> Result<Suggestions, Error> {
        let query = Query::for_suggestions(&op.q);
        query.check()?;
        if !query.has_words() {
            return Ok(Suggestions { items: Vec::new() });
        }
        Ok(Suggestions { items: self.complete(cx, &query).await? })
    }
}

impl Handle<GetProduct> for Products {
    async fn handle(&self, cx: &Cx, op: GetProduct) -> Result<ProductPage, Error> {
        self.show_by_id(cx, op.channel, op.id).await
    }
}

impl Handle<GetProductBySku> for Products {
    async fn handle(&self, cx: &Cx, op: GetProductBySku) -> Result<ProductPage, Error> {
        self.show(cx, op.channel, |tx| product_of_sku(tx, &op.sku)).await
    }
}

impl Handle<GetProductBySlug> for Products {
    async fn handle(&self, cx: &Cx, op: GetProductBySlug) -> Result<ProductPage, Error> {
        let found = |tx: &Tx<'_>| Ok(tx.get_by::<ProductBySlug>(op.slug.as_str())?.map(|product| product.id));
        self.show(cx, op.channel, found).await
    }
}

impl Handle<DescribeSkus> for Products {
    async fn handle(&self, cx: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        self.described(cx, &op.skus, None).await
    }
}

impl Handle<DescribeForSale> for Products {
    async fn handle(&self, cx: &Cx, op: DescribeForSale) -> Result<SkuDescriptions, Error> {
        self.described(cx, &op.skus, op.channel).await
    }
}

impl Handle<FindUsedTaxClasses> for Products {
    async fn handle(&self, _: &Cx, op: FindUsedTaxClasses) -> Result<TaxClassUses, Error> {
        let mut uses = Vec::new();
        for tax_class in op.classes {
            let found = |tx: &Tx<'_>| tx.scan_by::<ProductByTaxClass>().prefix(tax_class.as_str()).first();
            let found: Option<Product> = self.db.read(found).await?;
            uses.extend(found.map(|product| TaxClassUse { tax_class, sku: product.sku }));
        }
        Ok(TaxClassUses { uses })
    }
}

impl Handle<ResolveSkus> for Products {
    async fn handle(&self, _: &Cx, op: ResolveSkus) -> Result<ResolvedSkus, Error> {
        Ok(self.db.read(|tx| resolve(tx, &op.skus)).await?)
    }
}

impl Handle<CreateProduct> for Products {
    async fn handle(&self, cx: &Cx, op: CreateProduct) -> Result<ProductView, Error> {
        let context = self.context(cx).await?;
        let change = ProductChange::from(op);
        let prices = self.prices_of_draft(&context, &change).await?;
        let currency = context.currency;
        let work = move |tx: &mut Tx<'_>| {
            let product = commands::create(tx, &context.open(tx)?, change.clone())?;
            // A product that was just created has no stock yet.
            shelf::written(&product, Some(0), VariantPrices(&prices))
        };
        write_amounts(cx, currency, self.db.answer(cx, work), Result::is_ok).await
    }

    async fn check(&self, cx: &Cx, op: CreateProduct) -> Result<(), Error> {
        let (context, change) = (self.context(cx).await?, ProductChange::from(op));
        self.db.read(|tx| commands::draft(tx, &context.open(tx)?, change.clone()).map(drop)).await
    }
}

impl Handle<UpdateProduct> for Products {
    async fn handle(&self, cx: &Cx, op: UpdateProduct) -> Result<ProductView, Error> {
        let context = self.context(cx).await?;
        let id = op.id.get()?;
        let change = ProductChange::from(op);
        let work = move |tx: &mut Tx<'_>| commands::update(tx, &context.open(tx)?, id, change.clone());
        let product = self.db.write(cx, work).await?;
        let prices = self.prices_of(cx, &product).await?;
        shelf::written(&product, self.available_units(cx, product.variant_ids()).await?, VariantPrices(&prices))
    }

    async fn check(&self, cx: &Cx, op: UpdateProduct) -> Result<(), Error> {
        let (context, id) = (self.context(cx).await?, op.id.get()?);
        let change = ProductChange::from(op);
        let work = move |tx: &mut Tx<'_>| commands::update(tx, &context.open(tx)?, id, change.clone());
        self.db.rehearse(cx, work).await
    }
}

impl Handle<ArchiveProduct> for Products {
    async fn handle(&self, cx: &Cx, op: ArchiveProduct) -> Result<(), Error> {
        let context = self.context(cx).await?;
        self.db.write(cx, move |tx| commands::archive(tx, &context.open(tx)?, op.id)).await
    }
}

impl Handle<ImportProducts> for Products {
    async fn handle(&self, cx: &Cx, op: ImportProducts) -> Result<ImportReport, Error> {
        transfer::import(self, cx, op).await
    }
}

impl Handle<ExportProducts> for Products {
    async fn handle(&self, cx: &Cx, op: ExportProducts) -> Result<Download, Error> {
        let currency = self.context(cx).await?.currency;
        transfer::export(&self.db, currency, transfer::format(cx, op.format)?).await
    }
}

impl Handle<ListCategories> for Products {
    async fn handle(&self, _: &Cx, _: ListCategories) -> Result<CategoryTree, Error> {
        let shown = |tree: &Tree, result: &ResultSet| {
            Ok(CategoryTree { items: tree.branches().into_iter().map(|branch| tree::node(branch, result)).collect() })
        };
        self.categories(shown).await
    }
}

impl Handle<GetCategory> for Products {
    async fn handle(&self, _: &Cx, op: GetCategory) -> Result<CategoryView, Error> {
        self.category(op.id).await
    }
}

impl Handle<CreateCategory> for Products {
    async fn handle(&self, cx: &Cx, op: CreateCategory) -> Result<CategoryView, Error> {
        let context = self.context(cx).await?;
        let work = move |tx: &mut Tx<'_>| commands::create_category(tx, &context.open(tx)?, &op);
        Ok(tree::category_view(self.db.write(cx, work).await?, 0))
    }

    async fn check(&self, cx: &Cx, op: CreateCategory) -> Result<(), Error> {
        let context = self.context(cx).await?;
        self.db.rehearse(cx, move |tx| commands::create_category(tx, &context.open(tx)?, &op)).await
    }
}

impl Handle<UpdateCategory> for Products {
    async fn handle(&self, cx: &Cx, op: UpdateCategory) -> Result<CategoryView, Error> {
        let context = self.context(cx).await?;
        let work = move |tx: &mut Tx<'_>| commands::update_category(tx, &context.open(tx)?, &op);
        let category = self.db.write(cx, work).await?;
        self.category(category.id).await
    }

    async fn check(&self, cx: &Cx, op: UpdateCategory) -> Result<(), Error> {
        let context = self.context(cx).await?;
        self.db.rehearse(cx, move |tx| commands::update_category(tx, &context.open(tx)?, &op)).await
    }
}

impl Handle<DeleteCategory> for Products {
    async fn handle(&self, cx: &Cx, op: DeleteCategory) -> Result<(), Error> {
        let context = self.context(cx).await?;
        let DeleteCategory { id, move_to } = op;
        let known = self.db.read(|tx| tx.get::<Category>(&id)).await?;
        cx.check_version(known.ok_or_else(|| Error::not_found("category"))?.version)?;
        self.delete_category(cx, context, id, move_to).await
    }
}
