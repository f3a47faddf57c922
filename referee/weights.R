# Weights of terms: partial Wald chi2 (rms), dominance shares over all subsets (glm), attributable fractions, weighted fits.
# Called as: Rscript referee/weights.R OUT.json SHARED_DIR (from the project's root)
suppressPackageStartupMessages({library(rms); library(jsonlite); library(sandwich)})
out <- commandArgs(TRUE)[1]

d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
d$hospital <- factor(d$hospital); d$g2 <- as.numeric(d$grade == 2); d$g3 <- as.numeric(d$grade == 3)
tight <- glm.control(epsilon = 1e-13, maxit = 100)
terms <- list(age = "age", male = "male", sbp = c("sbp", "sbp2"), chol = "chol", smoker = "smoker", grade = c("g2", "g3"), noise = "noise")
d$sbp2 <- (d$sbp - 125)^2

# anova of rms: partial Wald tests, with a tight fit. asis-like columns: a quadratic sbp and grade as a factor.
d$grade <- factor(d$grade)
f <- lrm(y ~ hospital + age + male + pol(sbp, 2) + chol + smoker + grade + noise, d, eps = 1e-13, tol = 1e-16, maxit = 50)
a <- anova(f)
rows <- c("age", "male", "sbp", "chol", "smoker", "grade", "noise")
g <- glm(y ~ hospital + age + male + sbp + sbp2 + chol + smoker + g2 + g3 + noise, binomial, d, control = tight)
everything <- unlist(terms); b <- coef(g)[everything]; V <- vcov(g)[everything, everything]
partial <- list(
  call = "anova(lrm(y ~ hospital + age + male + pol(sbp, 2) + chol + smoker + grade + noise)); total: b' solve(vcov) b of all but hospital",
  chi2 = as.list(setNames(a[rows, "Chi-Square"], rows)), df = as.list(setNames(a[rows, "d.f."], rows)),
  p = as.list(setNames(a[rows, "P"], rows)), total = c(b %*% solve(V, b)), total_df = length(b))

# Dominance: all 2^7 subsets by glm, hospital always in; general dominance by its definition.
k <- length(terms); n <- nrow(d)
l0 <- c(logLik(glm(y ~ 1, binomial, d, control = tight)))
loglik <- vapply(0:(2^k - 1), function(mask) {
  own <- unlist(terms[bitwAnd(mask, 2^(0:(k - 1))) > 0])
  c(logLik(glm(reformulate(c("hospital", own), "y"), binomial, d, control = tight)))
}, 0)
shapley <- function(value) setNames(vapply(1:k, function(j) {
  bit <- 2^(j - 1); without <- Filter(function(m) bitwAnd(m, bit) == 0, 0:(2^k - 1))
  sum(vapply(without, function(m) {
    s <- sum(bitwAnd(m, 2^(0:(k - 1))) > 0)
    (value[m + bit + 1] - value[m + 1]) / (k * choose(k - 1, s))
  }, 0))
}, 0), names(terms))
cs <- 1 - exp(2 * (l0 - loglik) / n)
measures <- list(mcfadden = 1 - loglik / l0, `cox-snell` = cs, nagelkerke = cs / (1 - exp(2 * l0 / n)))
dominance <- list(
  call = "glm(reformulate(c('hospital', subset), 'y'), binomial) over all 128 subsets; sum (v(S + j) - v(S)) / (k choose(k - 1, |S|))",
  measures = lapply(measures, function(v) list(gain = as.list(shapley(v)), base = v[1], full = v[2^k])))

# Attributable fractions, with the stacked sandwich variance of (fraction, coefficients).
fraction <- function(columns, reference) {
  X <- model.matrix(g); V <- vcov(g); score <- estfun(g); beta <- coef(g); y <- d$y; N <- sum(y)
  at <- X; at[, columns] <- rep(reference, each = nrow(X))
  inverse <- exp(-c((X - at) %*% beta)); p0 <- plogis(c(at %*% beta))
  m <- sum(y * inverse) / N; r <- sum(p0) / N
  dm <- -colSums(y * inverse * (X - at)) / N; dr <- colSums(p0 * (1 - p0) * at) / N
  im <- y * (inverse - m) / N + c(score %*% V %*% dm); ir <- (p0 - r * y) / N + c(score %*% V %*% dr)
  list(odds_ratio = 1 - m, odds_ratio_se = sqrt(sum(im^2)), g_computation = 1 - r, g_computation_se = sqrt(sum(ir^2)))
}
attributable <- list(
  call = "1 - sum(y * exp(-(X - at) b)) / sum(y); 1 - sum(plogis(at b)) / sum(y); SE from estfun(g) and vcov(g)",
  smoker = fraction("smoker", 0), grade = fraction(c("g2", "g3"), c(0, 0)),
  sbp = fraction(c("sbp", "sbp2"), c(115, (115 - 125)^2)), noise = fraction("noise", 0))

# A fit with case weights, as a bootstrap replicate makes: row i has weight (7 i) mod 4.
w <- (7 * seq_len(n)) %% 4
gw <- glm(y ~ hospital + age + male + sbp + chol + noise - 1, binomial, d, weights = w, control = tight)
weighted <- list(
  call = "w <- (7 * seq_len(n)) %% 4; glm(y ~ hospital + age + male + sbp + chol + noise - 1, binomial, weights = w)",
  coef = as.list(coef(gw)), se = as.list(sqrt(diag(vcov(gw)))), loglik = c(-deviance(gw) / 2))

# Ranks: R's rank and type 1 quantiles.
draws <- outer(1:40, 1:4, function(i, j) ((13 * i + 5 * j * i) %% 17) + j)
ranks <- t(apply(-draws, 1, rank))
ranking <- list(
  call = "draws <- outer(1:40, 1:4, function(i, j) ((13 * i + 5 * j * i) %% 17) + j); ranks <- t(apply(-draws, 1, rank)); quantile(type = 1), quantile(draws, type = 6)",
  mean = colMeans(ranks), low = unname(apply(ranks, 2, quantile, 0.025, type = 1)), high = unname(apply(ranks, 2, quantile, 0.975, type = 1)),
  draw_low = unname(apply(draws, 2, quantile, 0.025, type = 6)), draw_high = unname(apply(draws, 2, quantile, 0.975, type = 6)),
  draw_se = apply(draws, 2, sd))

tails <- list(call = "pchisq(x, df, lower.tail = FALSE, log.p = TRUE) / log(10)",
  x = c(0.5, 10, 700, 2000, 5000, 30000), df = c(1, 3, 5, 2, 8, 1),
  log10_p = pchisq(c(0.5, 10, 700, 2000, 5000, 30000), c(1, 3, 5, 2, 8, 1), lower.tail = FALSE, log.p = TRUE) / log(10))

write_json(list(partial = partial, dominance = dominance, attributable = attributable, weighted = weighted,
  ranking = ranking, tails = tails), out, digits = NA, auto_unbox = TRUE, pretty = TRUE)
