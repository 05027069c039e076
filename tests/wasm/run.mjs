// Runs a program compiled for wasm32-wasip1, such as a test binary: `node run.mjs PROGRAM.wasm ARGUMENTS..`. It sees no files.
import { readFile } from "node:fs/promises";
import { argv, exit } from "node:process";
import { WASI } from "node:wasi";

const [program, ...words] = argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [program, ...words], returnOnExit: true });
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
let status;
try {
    status = wasi.start(instance);
} catch (trap) {
    // A panic has already said why.
    console.error(String(trap));
    status = 1;
}
exit(status);
