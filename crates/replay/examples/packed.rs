//! `cargo run --release -p debugop-replay --example packed -- FILE…`: how small each recording becomes, in bytes an executed instruction, and what
//! packing and unpacking take.

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::time::Instant;

use debugop_recording::file::ChunkKind;
use debugop_recording::packed::Coding;
use debugop_replay::{Recording, packed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut product = [0.0_f64; 2];
    let files: Vec<String> = std::env::args().skip(1).collect();
    for path in &files {
        let recording = Arc::new(Recording::open(path.as_ref())?);
        let steps = recording.len()? as f64;
        let reader = recording.reader();
        let others = reader
            .chunks()
            .filter(|chunk| chunk.kind != ChunkKind::Stream);
        let others: u64 = others.map(|chunk| chunk.stored).sum();
        let (mut stored, mut raw, mut packed_size, mut kept) = (0, 0, 0, 0);
        let (mut packing, mut unpacking) = (0.0, 0.0);
        for index in 0..reader.stream_len() {
            let chunk = reader.stream(index)?;
            stored += chunk.info.stored;
            raw += chunk.info.raw;
            let begun = Instant::now();
            let made = packed::pack(recording.codes(), &chunk.contents);
            packing += begun.elapsed().as_secs_f64();
            let Some(made) = made else {
                kept += 1;
                packed_size += chunk.info.stored;
                continue;
            };
            packed_size += made.len() as u64;
            let begun = Instant::now();
            packed::unpack(
                Coding::Five,
                recording.codes(),
                index as u64,
                &made,
                chunk.contents.len(),
            )?;
            unpacking += begun.elapsed().as_secs_f64();
        }
        let each = |bytes: u64| bytes as f64 / steps;
        product[0] += each(stored + others).ln();
        product[1] += each(packed_size + others).ln();
        println!(
            "{path}: {steps} steps, {} chunks, {kept} kept; raw {:.3}, stored {:.3}, packed {:.3}, others {:.3}; {:.1} and {:.1} million steps a second, {:.1} ms a chunk",
            reader.stream_len(),
            each(raw),
            each(stored),
            each(packed_size),
            each(others),
            steps / packing / 1e6,
            steps / unpacking / 1e6,
            unpacking * 1e3 / reader.stream_len() as f64
        );
    }
    let mean = product.map(|product| (product / files.len() as f64).exp());
    println!("geometric mean {:.3}, packed {:.3}", mean[0], mean[1]);
    Ok(())
}
