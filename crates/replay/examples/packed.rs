//! `cargo run --release -p debugop-replay --example packed -- FILE…`: how small each recording becomes, in bytes an executed instruction, and what
//! packing, unpacking and going to a step take.

#![expect(clippy::print_stdout, reason = "it is a program")]

use std::sync::Arc;
use std::time::Instant;

use debugop_recording::file::{self, ChunkKind, Packing};
use debugop_recording::packed::Coding;
use debugop_replay::{Recording, packed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut product = [0.0_f64; 2];
    let directory = std::env::temp_dir().join(format!("debugop-packed-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
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
                Coding::Six,
                recording.codes(),
                index as u64,
                &made,
                chunk.contents.len(),
            )?;
            unpacking += begun.elapsed().as_secs_f64();
        }
        let [seek, longest] = seeks(path, &directory)?.map(|seconds| seconds * 1e3);
        let each = |bytes: u64| bytes as f64 / steps;
        product[0] += each(stored + others).ln();
        product[1] += each(packed_size + others).ln();
        println!(
            "{path}: {steps} steps, {} chunks, {kept} kept; raw {:.3}, stored {:.3}, packed {:.3}, others {:.3}; {:.1} and {:.1} million steps a second, {:.1} ms a chunk; gone to a step in {seek:.1} ms, at most {longest:.1}",
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
    std::fs::remove_dir_all(&directory)?;
    let mean = product.map(|product| (product / files.len() as f64).exp());
    println!("geometric mean {:.3}, packed {:.3}", mean[0], mean[1]);
    Ok(())
}

/// Processor time of this thread, in seconds, where the system tells it.
fn spent() -> f64 {
    // It is brought up to date when the thread is taken off the processor.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let told = told.split(' ').next().and_then(|told| told.parse().ok());
    told.unwrap_or(0.0) / 1e9
}

/// What going to steps from everywhere takes, in processor time, of the recording as it is packed: the median and the longest.
fn seeks(path: &str, directory: &std::path::Path) -> Result<[f64; 2], Box<dyn std::error::Error>> {
    let to = directory.join("packed.debugop");
    let _ = std::fs::remove_file(&to);
    let recording = Recording::open(path.as_ref())?;
    let index = recording.index()?.bytes();
    let packing = Packing {
        packs: &|contents| packed::pack(recording.codes(), contents),
        done: &|| {},
    };
    file::pack(path.as_ref(), &to, Some(index), &packing)?;
    let recording = Arc::new(Recording::open(&to)?);
    let steps = recording.len()?;
    let mut took = Vec::new();
    for turn in 0..41_u64 {
        let step = turn * 7_919_777_777 % steps;
        let begun = spent();
        recording.cursor().seek(step)?;
        took.push(spent() - begun);
    }
    took.sort_by(f64::total_cmp);
    Ok([took[took.len() / 2], took[took.len() - 1]])
}
