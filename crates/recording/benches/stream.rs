//! What a record costs to write and to read. Times are for 1000 of each.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use debugop_recording::stream::{
    Decoder, Encoder, FrameNumber, Last, ObjectId, Predictor, Progress, RecentObjects, Record,
    SiteNumber, ThreadNumber,
};

const COUNT: u64 = 1000;

fn keyframe(bytes: &mut [u8], newest: u64) -> usize {
    let mut encoder = Encoder::new(bytes, 0);
    encoder.keyframe(0, ObjectId(newest), FrameNumber(1), 1, ThreadNumber(0));
    encoder.keyframe_thread(ThreadNumber(0), 1, b"MainThread", 0, 1);
    encoder.frame(FrameNumber(0), 0, 0, Progress::Ready, 0);
    encoder.at()
}

/// One encoder for each token, as a recorder that keeps only a position would do it.
fn each(at: &mut usize, bytes: &mut [u8], write: impl Fn(&mut Encoder<'_>, u64)) {
    for index in 0..COUNT {
        let mut encoder = Encoder::new(bytes, *at);
        write(&mut encoder, index);
        if !encoder.overflowed() {
            *at = encoder.at();
        }
    }
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    group.throughput(Throughput::Elements(COUNT));
    let mut bytes = vec![0; 256 << 10];
    let mut token = |name: &str, write: &dyn Fn(&mut Encoder<'_>, u64)| {
        group.bench_function(name, |bencher| {
            bencher.iter(|| each(black_box(&mut 0), &mut bytes, write));
        });
    };
    token("dynamic call alone", &|encoder, index| {
        black_box((encoder, index));
    });
    token("small int", &|encoder, index| {
        encoder.int((index & 63).cast_signed());
    });
    token("int of 1 byte", &|encoder, index| {
        encoder.int((index & 63).cast_signed() - 64);
    });
    token("int of 3 bytes", &|encoder, index| {
        encoder.int((index + 100_000).cast_signed());
    });
    token("int of 9 bytes", &|encoder, index| {
        encoder.int(i64::MAX - index.cast_signed());
    });
    token("float", &|encoder, index| encoder.float(index));

    group.bench_function("recent object", |bencher| {
        let mut recent = RecentObjects::new(ObjectId(0));
        let mut at = 0;
        for id in 1..=100 {
            let mut encoder = Encoder::new(&mut bytes, at);
            encoder.define(&mut recent, ObjectId(id), true);
            at = encoder.at();
        }
        bencher.iter(|| {
            let mut at = black_box(0);
            for index in 0..COUNT {
                let mut encoder = Encoder::new(&mut bytes, at);
                encoder.object(&mut recent, ObjectId(1 + index % 100));
                at = encoder.at();
            }
            at
        });
    });
    group.bench_function("record: predicted site, small int", |bencher| {
        let mut predictor = Predictor::new(16);
        bencher.iter(|| {
            let mut at = black_box(0);
            let mut last = Last::NOTHING;
            for index in 0..COUNT {
                let site = SiteNumber((index & 15) as u32);
                let mut encoder = Encoder::new(&mut bytes, at);
                if !predictor.follows(last, site) {
                    encoder.site(site);
                }
                encoder.int((index & 63).cast_signed());
                last = Last::site(site, false);
                if !encoder.overflowed() {
                    at = encoder.at();
                }
            }
            at
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(COUNT));
    let captures = [1; 16];
    let mut bytes = vec![0; 256 << 10];
    let mut predictor = Predictor::new(16);
    let mut at = keyframe(&mut bytes, 0);
    let mut last = Last::NOTHING;
    for index in 0..COUNT {
        let site = SiteNumber((index & 15) as u32);
        let mut encoder = Encoder::new(&mut bytes, at);
        if !predictor.follows(last, site) {
            encoder.site(site);
        }
        encoder.int((index & 63).cast_signed());
        last = Last::site(site, false);
        at = encoder.at();
    }
    bytes.truncate(at);
    group.bench_function("record: predicted site, small int", |bencher| {
        bencher.iter_batched_ref(
            || Decoder::new(&bytes, &captures).expect("well-formed").0,
            |decoder| {
                let mut record = Record::default();
                let mut sum = 0;
                while decoder.next(&mut record).expect("well-formed") {
                    sum += record.values.len();
                }
                assert_eq!(sum as u64, COUNT);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, write, read);
criterion_main!(benches);
