// Writes the columns that come as JSON in one file to another, which is Parquet.
import { readFileSync } from "node:fs";
import { parquetWriteFile } from "hyparquet-writer";

const [source, target] = process.argv.slice(2);
const { id, text, stars, tags } = JSON.parse(readFileSync(source));
parquetWriteFile({
  filename: target,
  rowGroupSize: 1000,
  pageSize: 4096,
  kvMetadata: [{ key: "owner", value: "data team" }],
  columnData: [
    { name: "id", data: id.map(BigInt), type: "INT64", bloomFilter: true },
    { name: "text", data: text, type: "STRING", columnIndex: true },
    { name: "stars", data: stars, type: "DOUBLE" },
    ...(tags
      ? [
          { name: "delta", data: id.map(BigInt), type: "INT64", encoding: "DELTA_BINARY_PACKED" },
          { name: "split", data: stars, type: "DOUBLE", encoding: "BYTE_STREAM_SPLIT" },
          { name: "tags", data: tags, type: "JSON" },
          { name: "anything", data: tags, type: "VARIANT" },
        ]
      : []),
  ],
});
