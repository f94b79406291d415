// Writes the table that comes as an Arrow stream in one file to another, which is Parquet.
import { readFileSync, writeFileSync } from "node:fs";
import { Compression, Table, WriterPropertiesBuilder, WriterVersion, writeParquet } from "parquet-wasm";

const [source, target] = process.argv.slice(2);
const options = new WriterPropertiesBuilder()
  .setWriterVersion(WriterVersion.V2)
  .setMaxRowGroupSize(1000)
  .setCompression(Compression.ZSTD)
  .build();
writeFileSync(target, writeParquet(Table.fromIPCStream(readFileSync(source)), options));
