// Builds the page into the Python package: three files whose names never change, so that a
// difference of two builds can be read.
import { defineConfig } from "vite";

const server = process.env.LORABAY_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/console/",
  build: {
    outDir: process.env.CONSOLE_OUT ?? "../lorabay/api/console/built",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: "console.js",
        assetFileNames: "console.[ext]",
        codeSplitting: false,
      },
    },
  },
  // `npx vite` shows the page while it is written, over a server that runs.
  server: { proxy: { "/console/api": server } },
});
