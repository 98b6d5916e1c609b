//! Writes the regions of all countries as one text for each country. As values with pointers they would be half a megabyte
//! that every start has to relocate, and so to keep in memory.

use std::fmt::Write as _;
use std::path::Path;

use rust_iso3166::iso3166_2::SUBDIVISION_COUNTRY_MAP;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut countries: Vec<_> = SUBDIVISION_COUNTRY_MAP.entries().collect();
    countries.sort_unstable_by_key(|(country, _)| **country);
    let mut source = "&[\n".to_owned();
    for (country, regions) in countries {
        let mut lines = String::new();
        for region in *regions {
            let code = region.code.split_once('-').map_or(region.code, |(_, code)| code);
            writeln!(lines, "{code}\t{}", region.name)?;
        }
        writeln!(source, "({country:?}, {lines:?}),")?;
    }
    source.push(']');
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("regions.rs"), source)?;
    Ok(())
}
