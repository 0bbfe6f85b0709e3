// What the screen says, in both languages, and how it writes money, litres and time.

import { h } from "./dom.js";

const WORDS = {
  // states of a fuelling point
  idle: ["空闲", "Idle"],
  calling: ["提枪", "Calling"],
  authorised: ["已授权", "Authorised"],
  fuelling: ["加油中", "Fuelling"],
  suspended: ["暂停", "Paused"],
  payable: ["待付款", "To pay"],
  closed: ["已关闭", "Closed"],
  offline: ["离线", "Offline"],
  fault: ["故障", "Fault"],
  // actions
  authorise: ["授权", "Authorise"],
  authorise_full: ["加满", "Fill up"],
  cancel: ["取消授权", "Cancel"],
  stop: ["停止", "Stop"],
  suspend: ["暂停", "Pause"],
  resume: ["继续", "Resume"],
  pay: ["收款", "Pay"],
  back: ["返回", "Back"],
  close: ["完成", "Done"],
  print: ["打印", "Print"],
  refund: ["退款", "Refund"],
  other: ["其他", "Other"],
  search: ["查找", "Find"],
  remove: ["移除", "Remove"],
  stop_all: ["全部停止", "STOP ALL"],
  release: ["解除全停", "Release"],
  release_confirm: ["确认解除", "Confirm release"],
  enrol: ["登记", "Enrol"],
  // labels
  nozzle: ["枪号", "Nozzle"],
  pump: ["油机", "Pump"],
  preset: ["定量", "Preset"],
  no_limit: ["不限量", "No limit"],
  total: ["合计", "Total"],
  unpaid: ["待付款", "To pay"],
  sales: ["近期销售", "Sales"],
  status: ["状态", "Status"],
  nothing_unpaid: ["没有待付款", "Nothing to pay"],
  nothing_unpaid_hint: ["加完的油会出现在这里", "Finished fuellings appear here"],
  no_sales: ["还没有销售", "No sales yet"],
  prepay: ["预付现金", "Prepay cash"],
  by_amount: ["按金额", "By amount"],
  by_volume: ["按升数", "By volume"],
  member: ["会员", "Member"],
  member_add: ["加会员", "Add member"],
  card: ["卡号", "Card"],
  phone: ["手机", "Phone"],
  plate: ["车牌", "Plate"],
  balance: ["储值可用", "Available"],
  list_amount: ["油款", "Fuel"],
  payable_amount: ["应收", "To pay"],
  prepaid: ["已预付", "Prepaid"],
  cash: ["现金", "Cash"],
  stored_value: ["储值", "Stored value"],
  received: ["实收", "Received"],
  change: ["找零", "Change"],
  short: ["还差", "Short"],
  exact: ["刚好", "Exact"],
  points: ["积分", "Points"],
  take_cash: ["收现金", "Take cash"],
  settle_prepaid: ["用预付款结清", "Settle"],
  give_back: ["退还", "Give back"],
  paid: ["已收款", "Paid"],
  refunded: ["已退款", "Refunded"],
  receipt: ["小票", "Receipt"],
  reason: ["退款原因", "Reason"],
  reason_mistake: ["收错款", "Paid wrongly"],
  reason_fuel: ["油品问题", "Fuel problem"],
  reason_customer: ["顾客要求", "Customer asked"],
  recovered: ["补录", "Recovered"],
  found: ["离线销售", "Sold offline"],
  waiting_flow: ["等待出油", "Waiting for flow"],
  lift_nozzle: ["请提枪", "Lift the nozzle"],
  headquarters: ["总部", "HQ"],
  online: ["在线", "Online"],
  cameras: ["摄像头", "Cameras"],
  clock: ["时钟", "Clock"],
  storage: ["磁盘", "Disk"],
  ok: ["正常", "OK"],
  trouble: ["异常", "Trouble"],
  full: ["不可写", "Not writable"],
  price_set: ["价格", "Prices"],
  policy: ["政策", "Policy"],
  records: ["账本", "Ledger"],
  waiting: ["待上传", "Waiting"],
  keys: ["键盘", "Keyboard"],
  version: ["版本", "Version"],
  text_size: ["字号", "Text size"],
  sound: ["声音", "Sound"],
  key_points: ["选择油机", "Choose a pump"],
  key_preset: ["定额并授权", "Preset and authorise"],
  key_space: ["授权最早提枪", "Authorise the oldest call"],
  key_back: ["返回", "Back"],
  key_stop: ["全部停止", "Stop all"],
  camera_ok: ["正常", "OK"],
  camera_blind: ["看不清", "Blind"],
  camera_lost: ["断开", "Lost"],
  camera_frozen: ["画面冻结", "Frozen"],
  camera_off: ["未启用", "Off"],
  demo: ["演示：模拟油机，非真实交易", "DEMO: simulated pumps, no real sales"],
  // members, what they have, and how they pay
  members: ["会员", "Members"],
  code: ["会员码", "Code"],
  scan_code: ["请扫描会员手机上的会员码", "Scan the code on the member's phone"],
  bank_card: ["银行卡", "Card"],
  wallet: ["扫码付", "Wallet"],
  take_stored_value: ["扣储值", "Charge"],
  take_bank_card: ["收银行卡", "Take card"],
  take_wallet: ["收扫码款", "Take wallet"],
  bank_card_reference: ["终端凭证号", "Terminal reference"],
  wallet_reference: ["支付单号", "Payment reference"],
  split: ["拆分", "Split"],
  split_hint: ["先收一部分，其余由所选方式支付", "This part first; the chosen means pays the rest"],
  split_take: ["先收", "This part"],
  asks_hq: ["不足部分向总部申请", "HQ is asked for the rest"],
  why_not: ["为什么没有优惠", "Why not?"],
  coupons: ["优惠券", "Coupons"],
  coupons_hint: ["勾选可用的券；系统从中取最省的组合", "Tick what may be used; the best of them are"],
  left_out: ["不使用", "Left out"],
  until: ["有效至", "Until"],
  back_to_bill: ["返回账单", "Back to the bill"],
  goods: ["商品", "Goods"],
  no_goods: ["没有商品", "No goods"],
  goes_with_it: ["常一起买", "Goes with it"],
  fewer: ["减少", "Fewer"],
  more: ["增加", "More"],
  use_points: ["积分抵", "Use points"],
  second_factor: ["需要会员确认", "Confirmation needed"],
  confirm: ["确认", "Confirm"],
  code_was_shown: ["会员码已出示，可直接确认", "The code was shown: confirm"],
  confirmed_by: ["由谁确认", "Confirmed by"],
  by_code: ["会员码", "Code"],
  by_pin: ["会员密码", "PIN"],
  by_staff: ["第二名员工", "Staff"],
  member_code: ["会员码", "Member code"],
  member_pin: ["会员密码", "Member PIN"],
  no_staff: ["本站未登记可确认的员工", "No staff may confirm here"],
  locked: ["该会员已被锁定，不能扣款", "This member is locked: nothing can be charged"],
  top_up: ["充值", "Top up"],
  top_up_low: ["余额低，充值", "Low: top up"],
  topped_up: ["已充值", "Topped up"],
  as_last_time: ["与上次相同", "As last time"],
  wallet_title: ["会员账户", "Member account"],
  balance_all: ["账户总额", "In all"],
  points_all: ["积分总数", "Points in all"],
  known_since: ["会员数据", "Member data"],
  leased_left: ["本站储值额度", "Stored value left here"],
  expires_soon: ["即将过期", "About to expire"],
  odometer: ["里程表", "Odometer"],
  priority: ["优先", "Priority"],
  told: ["已提醒", "Told"],
  // banners
  offline_title: ["与总部断开", "Headquarters offline"],
  waiting_sales: ["笔销售待上传", "sales waiting"],
  still_works: ["照常", "Works"],
  still_works_list: ["加油、会员价、现金、充值、本站储值额度", "fuelling, member prices, cash, top-ups, stored value set aside here"],
  not_working: ["暂停", "Not now"],
  not_working_list: ["新会员、本站额度以外的储值、总部改价", "new members, stored value beyond that, price changes"],
  stopped_title: ["全站已停止", "Everything is stopped"],
  stopped_hint: ["查明原因后解除；油机不会自动恢复加油", "Release when safe; no fuelling restarts by itself"],
  lost_title: ["与本机服务的连接中断", "Connection to the agent lost"],
  lost_hint: [
    "画面已停止更新，不可操作。正在加的油由油机照常完成；紧急时请按油机急停按钮。",
    "These figures are old and buttons are off. Dispensers finish by themselves; in an emergency use the E-stop.",
  ],
  lost_since: ["中断于", "Lost at"],
  enrol_title: ["登记此屏幕", "Enrol this screen"],
  enrol_hint: [
    "在本机终端运行 edge-agent screen，输入显示的登记码。",
    "Run `edge-agent screen` in a terminal of this PC and enter the code it prints.",
  ],
  starting: ["正在连接…", "Connecting"],
  unreachable: ["本机服务没有应答，请再试一次", "The agent did not answer; try again"],
};

/** Return [Chinese, English] of a word. */
export function pair(word) {
  return WORDS[word] ?? [word, word];
}

/** A word in both languages, the chosen one large. */
export function t(word) {
  return both(...pair(word));
}

/** Two texts that mean the same, the chosen language large. */
export function both(zh, en) {
  return h("span.bi", null, h("span.zh", { lang: "zh" }, zh), h("span.en", { lang: "en" }, en));
}

/** Spoken name of a control: both languages, for screen readers. */
export function label(word) {
  return pair(word).join(" ");
}

/** Fen as yuan: 12345 -> "123.45". Integers only; no float touches money. */
export function yuan(fen) {
  const sign = fen < 0 ? "−" : "";
  const whole = Math.abs(fen);
  return `${sign}${Math.floor(whole / 100)}.${String(whole % 100).padStart(2, "0")}`;
}

/** Fen as yuan without zero cents: 20000 -> "200". */
export function shortYuan(fen) {
  return fen % 100 === 0 ? String(fen / 100) : yuan(fen);
}

/** Millilitres as litres with two digits, as a dispenser shows them, cut and never rounded up. */
export function litres(ml) {
  const hundredths = Math.floor(ml / 10);
  return `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")}`;
}

/** Thousandths of a yuan per litre: 7850 -> "7.85", 1459 -> "1.459". */
export function unitPrice(milli) {
  const text = `${Math.floor(milli / 1000)}.${String(milli % 1000).padStart(3, "0")}`;
  return text.endsWith("0") ? text.slice(0, -1) : text;
}

/** A duration: "07", "03:12", "1:02:07"; days are written out. */
export function lasting(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  if (s >= 86_400) return `${Math.floor(s / 86_400)}d ${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}`;
  if (s >= 3600) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return `${two(Math.floor(s / 60))}:${two(s % 60)}`;
}

/** How long ago, in the largest unit that says it. */
export function ago(ms) {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 60) return both(`${minutes} 分钟前`, `${minutes} min ago`);
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? both(`${hours} 小时前`, `${hours} h ago`) : both(`${Math.floor(hours / 24)} 天前`, `${Math.floor(hours / 24)} days ago`);
}

let offsetMinutes = 480;

/** Tell what the station's clocks show, ahead of UTC; this PC may be set to anything. */
export function setOffset(minutes) {
  offsetMinutes = minutes;
}

function atStation(ms) {
  return new Date(ms + offsetMinutes * 60_000);
}

/** Time of day at the station, with seconds. */
export function timeOfDay(ms) {
  const d = atStation(ms);
  return [d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
}

/** A day at the station, as numbers: "2026-12-02". */
export function dayOf(ms) {
  return atStation(ms).toISOString().slice(0, 10);
}

/** Date and weekday at the station, in both languages. */
export function dateOf(ms) {
  const d = atStation(ms);
  const zh = `${d.getUTCMonth() + 1}月${d.getUTCDate()}日 周${"日一二三四五六"[d.getUTCDay()]}`;
  const en = d.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
  return both(zh, en);
}
