"use strict";
// The formulas of workbench/economics/calculators, written again by hand. A test compares both on a grid, to 1e-9.
const GIB = 2 ** 30;
const HOURS_PER_MONTH = 730;

const FORMULAS = {
  memory: ({ params_b, bits, layers, kv_heads, head_dim, kv_bits, context_tok, requests }) => {
    const weights = (params_b * 1e9 * bits) / 8 / GIB;
    const each = (2 * layers * kv_heads * head_dim * kv_bits) / 8;
    const cache = (each * context_tok * requests) / GIB;
    return { weights_gib: weights, kv_kib_per_tok: each / 1024, kv_gib: cache, total_gib: weights + cache };
  },

  ceiling: ({ bandwidth_gb_per_s, active_b, bits, cards }) => {
    const read = (active_b * bits) / 8;
    const rate = (bandwidth_gb_per_s * cards) / read;
    return { read_gb_per_tok: read, tok_per_s: rate, s_per_thousand_tok: 1000 / rate };
  },

  per_token: ({ usd_per_hour, peak_tok_per_s, utilisation }) => {
    const atPeak = (usd_per_hour / (peak_tok_per_s * 3600)) * 1e6;
    return {
      usd_per_million: atPeak / utilisation,
      bound_usd_per_million: atPeak,
      idle_usd_per_hour: usd_per_hour * (1 - utilisation),
    };
  },

  break_even: ({ usd_per_hour, machines, prompt_tok, output_tok, usd_in, usd_out }) => {
    const each = (prompt_tok * usd_in + output_tok * usd_out) / 1e6;
    const rate = (usd_per_hour * machines) / 3600 / each;
    return {
      usd_per_request: each,
      requests_per_s: rate,
      requests_per_day: rate * 86400,
      million_tok_per_month: (rate * (prompt_tok + output_tok) * 3600 * HOURS_PER_MONTH) / 1e6,
    };
  },

  own_or_rent: ({ server_usd, life_months, residual, rate, power_kw, pue, usd_per_kwh, colocation, other,
                  rent_usd_per_hour }) => {
    const monthly = rate / 12;
    const left = residual * server_usd;
    let capital = (server_usd - left) / life_months;
    if (monthly !== 0) {
      const discount = (1 + monthly) ** -life_months;
      capital = ((server_usd - left * discount) * monthly) / (1 - discount);
    }
    const running = power_kw * pue * HOURS_PER_MONTH * usd_per_kwh + power_kw * colocation + other;
    const rent = rent_usd_per_hour * HOURS_PER_MONTH;
    return {
      capital_usd: capital,
      running_usd: running,
      own_usd_per_month: capital + running,
      rent_usd_per_month: rent,
      own_hours_per_month: (capital + running) / rent_usd_per_hour,
      payback_months: rent > running ? server_usd / (rent - running) : NaN,
    };
  },

  spot: ({ spot_usd, on_demand_usd, interruptions_per_day, lost_min }) => {
    const served = 1 - Math.min(1, ((interruptions_per_day / 24) * lost_min) / 60);
    return {
      served: 100 * served,
      usd_per_served_hour: served > 0 ? spot_usd / served : NaN,
      saved: served > 0 ? 100 * (1 - spot_usd / served / on_demand_usd) : NaN,
      worth_up_to_per_day: lost_min > 0 ? ((Math.max(0, 1 - spot_usd / on_demand_usd) * 60) / lost_min) * 24 : NaN,
    };
  },

  users: ({ users, think_s, alone_s, peak_rps }) => ({
    knee_users: (think_s + alone_s) * peak_rps,
    rate_rps: Math.min(users / (think_s + alone_s), peak_rps),
    response_s: Math.max(alone_s, users / peak_rps - think_s),
  }),

  tier_price: ({ requests, prompt_tok, output_tok, cost_in, cost_out, support, fee, margin }) => {
    const each = (prompt_tok * cost_in + output_tok * cost_out) / 1e6;
    const cost = requests * each + support;
    const price = cost / (1 - fee - margin);
    return {
      cost_usd: cost,
      price_usd: price,
      profit_usd: price * margin,
      requests_at_no_margin: (price * (1 - fee) - support) / each,
    };
  },

  energy: ({ machines, power_kw, idle, busy, pue, usd_per_kwh, kg_per_kwh, tok_per_s }) => {
    const kwh = machines * power_kw * (idle + (1 - idle) * busy) * pue * HOURS_PER_MONTH;
    const millions = (tok_per_s * 3600 * HOURS_PER_MONTH) / 1e6;
    return { kwh, usd: kwh * usd_per_kwh, kg_co2: kwh * kg_per_kwh, wh_per_thousand_tok: kwh / millions };
  },

  roi: ({ invested_usd, monthly_usd, months, rate, sold_usd }) => {
    let worth = sold_usd / (1 + rate) ** (months / 12) - invested_usd;
    for (let month = 1; month <= months; month += 1) worth += monthly_usd / (1 + rate) ** (month / 12);
    const cash = monthly_usd * months + sold_usd - invested_usd;
    return {
      npv_usd: worth,
      cash_usd: cash,
      roi: (100 * cash) / invested_usd,
      payback_months: monthly_usd > 0 ? invested_usd / monthly_usd : NaN,
    };
  },
};
