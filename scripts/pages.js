// Opens every page of `vestibule dev` as people do, and says what is wrong; scripts/pages calls it.
"use strict";

const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const axe = require("axe-core");
const { chromium } = require("playwright-core");

const UNKNOWN = "0123456789abcdef0123456789abcdef01234567";
const SHOTS = "target/pages";
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 640 };
const LOOKS = [
  { name: "desk-light", colorScheme: "light", viewport: DESK, locale: "en-GB" },
  { name: "phone-dark", colorScheme: "dark", viewport: PHONE, locale: "de-DE" },
];
const MORE_LOOKS = [
  { name: "desk-dark", colorScheme: "dark", viewport: DESK, locale: "en-GB" },
  { name: "phone-light", colorScheme: "light", viewport: PHONE, locale: "de-DE" },
];
const SITES = `[
  {id = "shop", name = "The Shop", domain = "shop.example", continue_url = "https://shop.example/"},
  {id = "gone", name = "The Shop", domain = "shop.example", activation_days = 0, continue_url = "https://shop.example/"}
]`.replaceAll("\n", "");

const problems = [];
const counts = { pages: 0, rules: 0 };
let server;

function check(good, problem) {
  if (!good) problems.push(problem);
}

/** Starts the server, and returns where each part of it is. */
async function start(program, folder) {
  const free = ["--listen", "--mailbox", "--page"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const env = { VESTIBULE__SITES: SITES, VESTIBULE__LOG__FORMAT: "json", VESTIBULE__PAGE__REQUESTS_PER_MINUTE: "0" };
  server = spawn(program, ["dev", "--data", folder, ...free], { env, stdio: ["ignore", "ignore", "pipe"] });
  const where = {};
  for await (const line of readline.createInterface({ input: server.stderr })) {
    const { message, address } = JSON.parse(line);
    if (["listening", "page open", "mailbox open"].includes(message)) where[message] = address;
    if (message === "mailbox open") break;
  }
  // What it says from now on is nobody's to read, and must not fill the pipe.
  server.stderr.resume();
  return { grpc: where.listening, page: `http://${where["page open"]}`, mailbox: `http://${where["mailbox open"]}` };
}

/** Calls the service. */
function call(address, method, request) {
  const arguments_ = ["-plaintext", "-d", JSON.stringify(request), address, `vestibule.v1.${method}`];
  return JSON.parse(execFileSync(".tools/bin/grpcurl", arguments_, { encoding: "utf8" }));
}

/** Registers somebody, and returns the user and the key. */
function register(at, username, more = {}) {
  const request = { username, email: `${username}@example.com`, send_email: false, ...more };
  const { user, activationKey } = call(at.grpc, "RegistrationService/CreateInactiveUser", request);
  return { id: user.id, key: activationKey };
}

/** Everything that can be seen, by the names of the screenshots: the address, and what is done there first. */
function seen(at) {
  const activate = (key) => `${at.page}/activate/${key}`;
  const use = (key) => call(at.grpc, "RegistrationService/Activate", { activation_key: key });
  const used = register(at, "used");
  const rival = register(at, "rival", { email: "used@example.com" });
  const disabled = register(at, "disabled");
  use(used.key);
  use(disabled.key);
  call(at.grpc, "UserService/DisableUser", { user_id: disabled.id });
  register(at, "mailed", { send_email: true });
  const press = async (page) => page.click("button");
  let names = 0;
  return [
    ["activate", activate(register(at, "pending").key)],
    ["activated", () => activate(register(at, `active${(names += 1)}`).key), press],
    ["activated-before", activate(used.key)],
    ["expired", activate(register(at, "late", { site: "gone" }).key)],
    ["taken", activate(rival.key)],
    ["disabled", activate(disabled.key)],
    ["unknown", activate(UNKNOWN)],
    ["verify", `${at.page}/verify/${UNKNOWN}`],
    ["not-verified", `${at.page}/verify/${UNKNOWN}`, press],
    ["resend", `${at.page}/resend`],
    ["resend-invalid", `${at.page}/resend`, async (page) => {
      // What the browser takes for an address and the service doesn't.
      await page.fill("input", "name@127.0.0.1");
      await press(page);
    }],
    ["sent", `${at.page}/resend`, async (page) => {
      await page.fill("input", "nobody@example.com");
      await press(page);
    }],
    ["not-found", `${at.page}/nowhere`],
    ["mailbox", `${at.mailbox}/?refresh=off`],
    ["mailbox-mail", `${at.mailbox}/?refresh=off`, async (page) => page.click("tbody a")],
    ["mailbox-not-found", `${at.mailbox}/nowhere`],
  ];
}

/** Opens a browser's window, which reports whatever it complains about. It runs scripts for axe alone: no page may. */
async function open(browser, look, at) {
  const { name, ...options } = look;
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A status from 400 on is a page like any other.
    const harmless = message.type() !== "error" || message.text().startsWith("Failed to load resource: the server responded");
    check(harmless, `${name}: ${page.url()}: ${message.text()}`);
  });
  page.on("request", (request) => {
    const own = [at.page, at.mailbox, "data:"].some((start) => request.url().startsWith(start));
    check(own, `${name}: ${page.url()} loads ${request.url()}`);
  });
  return page;
}

/** Looks at what a page shows, and takes its picture. */
async function judge(page, where) {
  await page.screenshot({ path: `${SHOTS}/${where}.png`, fullPage: true });
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of found.violations) {
    check(false, `${where}: ${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
  }
  const measured = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    headings: document.querySelectorAll("h1").length,
    small: [...document.querySelectorAll("button, input, .button")]
      .filter((element) => element.getBoundingClientRect().height < 44)
      .map((element) => element.outerHTML),
  }));
  check(measured.overflow <= 0, `${where}: is ${measured.overflow} pixels too wide`);
  check(measured.headings === 1, `${where}: has ${measured.headings} headings of the first level`);
  check(measured.small.length === 0, `${where}: too small to be hit: ${measured.small}`);
  counts.pages += 1;
  counts.rules += found.passes.length;
}

/** Activates somebody with nothing but a keyboard and without scripts, from the mail on. */
async function byKeyboard(browser, at) {
  const look = { name: "keyboard", viewport: DESK, locale: "en-GB", javaScriptEnabled: false };
  const page = await open(browser, look, at);
  register(at, "keyboard", { send_email: true });
  const next = `${at.mailbox}/api/mails/next?recipient=keyboard@example.com`;
  const { links } = await (await fetch(next)).json();
  check(links.length === 1 && links[0].startsWith(`${at.page}/activate/`), `the mail links to ${links}`);
  await page.goto(links[0]);
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return `${document.activeElement.tagName} ${style.outlineStyle} ${parseFloat(style.outlineWidth) >= 2}`;
  });
  check(outline === "BUTTON solid true", `the first Tab leads to ${outline}`);
  await page.screenshot({ path: `${SHOTS}/activate-focused.png` });
  for (const said of ["Your account is active", "Your account is already active"]) {
    if (said.includes("already")) await page.reload();
    else await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    const heading = await page.textContent("h1");
    check(heading === said, `by keyboard: ${heading} instead of ${said}`);
    const title = await page.title();
    check(!title.includes(links[0].slice(-40)), `the key stands in the title: ${title}`);
  }
  check(page.url() === links[0], `the browser is led to ${page.url()}`);
  await page.goBack();
  check((await page.textContent("h1")) === "Your account is already active", "going back shows the button again");
  await page.context().close();
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "vestibule-pages-"));
  fs.rmSync(SHOTS, { recursive: true, force: true });
  fs.mkdirSync(SHOTS, { recursive: true });
  let browser;
  try {
    const at = await start(process.argv[2], folder);
    const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((file) => fs.existsSync(file));
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    await byKeyboard(browser, at);
    const pages = seen(at);
    for (const look of [...LOOKS, ...MORE_LOOKS]) {
      const page = await open(browser, look, at);
      for (const [name, address, act] of LOOKS.includes(look) ? pages : pages.filter(([name]) => ["activate", "resend"].includes(name))) {
        await page.goto(typeof address === "string" ? address : address());
        if (act) await Promise.all([page.waitForNavigation(), act(page)]);
        const language = await page.getAttribute("html", "lang");
        const wanted = name.startsWith("mailbox") ? "en" : look.locale.slice(0, 2);
        check(language === wanted, `${name}-${look.name}: is in ${language}`);
        await judge(page, `${name}-${look.name}`);
      }
      await page.context().close();
    }
  } finally {
    await browser?.close();
    server?.kill();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  problems.forEach((problem) => console.error(`pages: ${problem}`));
  console.log(`pages: ${counts.pages} views, ${counts.rules} rules of axe passed; ${problems.length} problems`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
